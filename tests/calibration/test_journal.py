"""Numbers that a calibration keeps: measured once, written at once, and never mistaken for others."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from spair.calibration import journal as journal_module
from spair.calibration.journal import NO_DIFFERENCE, Journal, open_journal
from spair.calibration.options import Options
from spair.calibration.statistics.pictures import CalibrationPicture
from spair.runtime import UserError


def refuse() -> float:
    pytest.fail("measured again")


def test_a_number_is_measured_once_and_outlives_the_journal(tmp_path):
    path = tmp_path / "deep" / "numbers.json"
    first = Journal(path)
    assert first.get("a", lambda: 0.1 + 0.2) == 0.1 + 0.2
    assert (first.get("a", refuse), first.recalled) == (0.1 + 0.2, 1)
    again = Journal(path)
    assert (again.get("a", refuse), again.recalled) == (0.1 + 0.2, 1)
    assert again.get("b", lambda: 2.0) == 2.0 and again.recalled == 1


def test_each_number_is_on_disk_before_the_next_is_measured(tmp_path):
    path = tmp_path / "numbers.json"
    kept = Journal(path)
    kept.get("a", lambda: 1.0)

    def interrupt() -> float:
        assert json.loads(path.read_text()) == {"a": 1.0}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.get("b", interrupt)
    assert json.loads(path.read_text()) == {"a": 1.0}
    assert kept.get("b", lambda: 5.0) == 5.0


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"a": "many"}', '{"a": null}', '{"a": [1]}', "\x00\xff"])
def test_a_damaged_file_is_measured_again(tmp_path, text):
    path = tmp_path / "numbers.json"
    path.write_text(text, encoding="latin-1")
    kept = Journal(path)
    assert (kept.get("a", lambda: 3.0), kept.recalled) == (3.0, 0)
    assert Journal(path).get("a", refuse) == 3.0


def test_what_is_forgotten_is_measured_again_and_replaced(tmp_path):
    path = tmp_path / "numbers.json"
    kept = Journal(path)
    kept.get("a", lambda: 1.0)
    kept.forget()
    assert kept.get("b", lambda: 2.0) == 2.0
    assert json.loads(path.read_text()) == {"b": 2.0}
    assert kept.get("a", lambda: 4.0) == 4.0


def test_a_folder_that_cannot_be_written_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    kept = Journal(tmp_path / "file" / "numbers.json")
    with pytest.raises(UserError, match=r"cannot keep .*numbers\.json: .*; set SPAIR_CACHE to a writable") as caught:
        kept.get("a", lambda: 1.0)
    assert "\n" not in str(caught.value)


# The key


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Return a function that names the file of a journal for changed graphs, tiles or options."""
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path))
    random = np.random.default_rng(0)
    tiles = [CalibrationPicture(name, random.random((8, 9, 3), dtype=np.float32)) for name in "ab"]
    base = Options("int8", tile=32, tiles=4)

    def find(files=None, tiles=tiles, **changes):
        files = {"l.onnx": "1", "r.onnx": "2", "int8.onnx": "9", **(files or {})}
        graphs = {"fp32": {"net_l": "l.onnx", "net_r": "r.onnx"}, "int8": {"net_l": "int8.onnx"}}
        network = SimpleNamespace(bundle=SimpleNamespace(manifest=SimpleNamespace(files=files, graphs=graphs)))
        return open_journal(network, tiles, replace(base, **changes)).path

    find.tiles = tiles
    return find


def test_the_file_lies_in_the_cache_folder_and_is_the_same_for_the_same(opened, tmp_path):
    assert opened() == opened()
    assert tmp_path in opened().parents


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "fp16"},
        {"calibrator": "entropy"},
        {"statistics": "all"},
        {"quantize": "weights"},
        {"percentile": 99.0},
        {"assumed_psnr": 41.0},
        {"files": {"r.onnx": "3"}},
    ],
    ids=str,
)
def test_what_changes_a_number_has_another_file(opened, change):
    assert opened(**change) != opened()


def test_what_changes_no_number_has_the_same_file(opened):
    changes = {"max_loss": 0.3, "threads": 3, "pictures": 7, "side": 999, "quick": True}
    assert set(changes) == set(NO_DIFFERENCE)
    for name, value in changes.items():
        assert opened(**{name: value}) == opened(), name
    assert opened(files={"int8.onnx": "another"}) == opened(), "a graph that calibration made itself"


def test_the_pixels_of_tiles_count_and_their_names_do_not(opened):
    first, second = opened.tiles
    assert opened(tiles=[replace(first, name="z"), second]) == opened()
    assert opened(tiles=[second, first]) != opened()
    assert opened(tiles=[first]) != opened()
    assert opened(tiles=[replace(first, target=first.pixels), second]) != opened()
    changed = first.pixels.copy()
    changed[-1, -1, -1] = np.nextafter(changed[-1, -1, -1], np.float32(2))
    assert opened(tiles=[replace(first, pixels=changed), second]) != opened()


def test_a_new_version_of_the_measurements_has_another_file(opened, monkeypatch):
    before = opened()
    monkeypatch.setattr(journal_module, "VERSION", journal_module.VERSION + 1)
    assert opened() != before

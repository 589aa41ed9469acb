"""The bundle of shipped weights is made once, by one of many, and again where it was damaged."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from spair.runtime import Bundle, Restorer, UserError
from spair.runtime.shipped import models
from spair.runtime.shipped.models import FOLDER, find_model
from spair.runtime.shipped.ready import has_bundle, locate_bundle, make_ready, resolve_model


@pytest.fixture
def rain(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return find_model("rain")


def test_the_first_use_makes_the_bundle_and_says_where(rain, cache):
    said: list[str] = []
    assert not has_bundle(rain)
    path = make_ready(rain, said.append)
    assert path.parent == cache / "models" and has_bundle(rain)
    assert said == [f"made the bundle of rain, once, from the shipped weights: {path}"]
    bundle = Bundle.open(path)
    assert set(bundle.manifest.graphs["fp32"]) == {"model", "net_l", "net_r", "net_r_packed"}
    assert len(bundle.contents()) == 6
    assert bundle.manifest.parity["passed"] is True


def test_the_second_use_writes_nothing(rain, cache):
    path = make_ready(rain)
    before = {file: file.stat().st_mtime_ns for file in cache.rglob("*")}
    said: list[str] = []
    assert make_ready(rain, said.append) == path
    assert said == []
    assert {file: file.stat().st_mtime_ns for file in cache.rglob("*")} == before


def test_uses_at_the_same_time_make_it_once(rain, cache):
    said: list[str] = []
    together = Barrier(6)

    def use(number: int) -> Path:
        together.wait()
        path = make_ready(rain, said.append)
        Bundle.open(path).contents()
        return path

    with ThreadPoolExecutor(6) as pool:
        paths = set(pool.map(use, range(6)))
    assert len(paths) == 1 and len(said) == 1
    assert [path.name for path in (cache / "models").iterdir()] == [next(iter(paths)).name]


def empty(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


def replace_by_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("no bundle")


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: (path / "graphs/fp32/net_l.onnx").write_bytes(b"cut"),
        lambda path: (path / "graphs/fp32/net_r.onnx").unlink(),
        lambda path: (path / "manifest.json").unlink(),
        lambda path: (path / "manifest.json").write_text("{"),
        empty,
        replace_by_file,
    ],
    ids=["changed graph", "absent graph", "no manifest", "damaged manifest", "empty folder", "a file"],
)
def test_a_damaged_bundle_is_made_again(rain, cache, damage):
    path = make_ready(rain)
    damage(path)
    said: list[str] = []
    assert make_ready(rain, said.append) == path and len(said) == 1
    assert len(Bundle.open(path).contents()) == 6


def test_another_template_has_another_bundle(rain, cache, tmp_path, monkeypatch):
    before = locate_bundle(rain)
    shutil.copytree(FOLDER, tmp_path / "weights")
    monkeypatch.setattr(models, "FOLDER", tmp_path / "weights")
    assert locate_bundle(rain) == before
    shutil.copy(find_model("blur").template, rain.template)
    assert locate_bundle(rain) != before


def test_other_weights_than_the_templates_leave_nothing_in_the_cache(rain, cache, tmp_path, monkeypatch):
    shutil.copytree(FOLDER, tmp_path / "weights")
    monkeypatch.setattr(models, "FOLDER", tmp_path / "weights")
    shutil.copy(find_model("blur").checkpoint, rain.checkpoint)
    with pytest.raises(UserError, match="do not fit their template"):
        make_ready(rain)
    assert not has_bundle(rain) and list((cache / "models").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_one_sentence(rain, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="cannot keep the bundle of rain in the cache: .*set SPAIR_CACHE"):
        make_ready(rain)


def test_paths_stay_paths(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve_model("some/where.spair") == "some/where.spair"
    assert not cache.exists()


def test_a_restorer_opens_by_name(rain, cache):
    image = np.random.default_rng(3).integers(0, 255, (24, 33, 3), np.uint8)
    with Restorer.open("rain", threads=1) as named:
        result = named(image)
    with Restorer.open(locate_bundle(rain), threads=1) as by_path:
        np.testing.assert_array_equal(result.image, by_path(image).image)


def test_a_restorer_refuses_an_unknown_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no model rian: .*one of rain, raindrop, shadow, blur"):
        Restorer.open("rian")

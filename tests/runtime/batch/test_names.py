"""Names of results that a file system refuses, or takes for one, are found before any work."""

import unicodedata
from pathlib import Path

import pytest

from spair.runtime import UserError
from spair.runtime.batch import names
from spair.runtime.batch.names import check_inside, refuse_twins, say_too_long

ACCENT = "é.png"


@pytest.mark.parametrize("relative", ["../a.png", "sub/../../a.png", "/a.png"])
def test_a_result_outside_of_the_folder_is_refused(tmp_path, relative):
    with pytest.raises(UserError, match="would lie outside of .*; give the picture by another path"):
        check_inside(Path(relative), tmp_path)
    check_inside(Path("sub/a..png"), tmp_path)


def test_a_name_is_too_long_beyond_what_the_file_system_takes(tmp_path):
    longest = tmp_path / "none" / ("x" * 251 + ".png")
    assert say_too_long(longest, None) is None
    words = say_too_long(longest, longest.with_name("x" * 251 + ".mask.png"))
    assert words is not None and "its name has 260 bytes, and the file system takes 255; rename the picture" in words
    assert say_too_long(tmp_path / ("ä" * 126 + ".png")) is not None, "bytes count, not letters"


def test_a_system_that_does_not_say_refuses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(names, "_find_limit", lambda folder: None)
    assert say_too_long(tmp_path / ("x" * 999)) is None


TWINS = [("A.png", "a.png"), ("Sub/x.png", "sub/x.png"), (unicodedata.normalize("NFD", ACCENT), ACCENT)]


@pytest.mark.parametrize(("first", "second"), TWINS)
def test_names_that_are_one_are_refused_where_the_file_system_says_so(tmp_path, monkeypatch, first, second):
    out = tmp_path / "out"
    targets = [(out / name, Path("in") / name) for name in (first, second)]
    refuse_twins(targets, out)  # this file system tells them apart
    assert list(tmp_path.iterdir()) == [], "nothing is left of the trial"

    def lead_to_one(path):
        return names._fold(Path(path.name)) in {names._fold(Path(one.name)) for one in path.parent.iterdir()}

    monkeypatch.setattr(names.os.path, "lexists", lead_to_one)
    with pytest.raises(UserError, match=r"would both be written to .*takes these names for one"):
        refuse_twins(targets, out)


def test_names_that_differ_by_more_are_not_tried_out(tmp_path, monkeypatch):
    monkeypatch.setattr(names, "_are_one", lambda *given: pytest.fail("tried out"))
    refuse_twins([(tmp_path / name, Path(name)) for name in ("a.png", "b.png", "ab.png", "a.tif")], tmp_path)


def test_a_place_that_cannot_be_written_is_no_trial(tmp_path, monkeypatch):
    def refuse(target):
        raise PermissionError

    monkeypatch.setattr(names, "place_beside", refuse)
    refuse_twins([(tmp_path / name, Path(name)) for name in ("A", "a")], tmp_path)

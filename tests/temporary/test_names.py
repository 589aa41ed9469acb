"""Temporary names say their target and their owner, and fit wherever the target fits."""

import os
from pathlib import Path

import pytest

from spair.temporary.names import BACKUP, PARTIAL, TEMPORARY, name_beside, name_scratch, parse_name, stem_of
from spair.temporary.owners import this_process

LONG = [
    "a",
    "rain.spair",
    "new\nline.png",
    "-dash.png",
    ".hidden",
    "a.b.c",
    "x" * 191,
    "x" * 192,
    "x" * 255,
    "ä" * 127,
    "😀" * 63,
    b"\xff\xfe.png".decode("utf-8", "surrogateescape"),
]


@pytest.mark.parametrize("kind", [TEMPORARY, BACKUP, PARTIAL])
@pytest.mark.parametrize("name", LONG, ids=range(len(LONG)))
def test_a_name_fits_beside_its_target_and_is_read_back(tmp_path, name, kind):
    target = tmp_path / name
    target.touch()
    path = name_beside(target, kind)
    path.touch()  # the file system takes it
    found = parse_name(path.name)
    assert path.parent == tmp_path and path.name.startswith(".")
    assert found == (f".{stem_of(target)}", this_process(), kind)
    assert name_beside(target, kind) != path


def test_long_names_that_begin_alike_have_other_stems(tmp_path):
    first, second = (tmp_path / ("x" * 254 + end) for end in "ab")
    assert stem_of(first) != stem_of(second) and stem_of(first) == stem_of(tmp_path / first.name)
    assert len(os.fsencode(stem_of(first))) <= 191


def test_a_file_system_with_short_names_is_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "pathconf", lambda folder, what: 143)  # eCryptfs
    assert len(os.fsencode(name_beside(tmp_path / ("x" * 143)).name)) <= 143


@pytest.mark.parametrize(
    "name",
    [
        "a.png",
        ".a.png.tmp",
        ".a.png.0123456789ab.tmp",
        ".a.1-2-0123456-01234567.tmp",
        ".a.1-2-01234567-01234567.temp",
        ".a.G-2-01234567-01234567.tmp",
    ],
)
def test_other_names_are_none(name):
    assert parse_name(name) is None


def test_scratch_names_say_what_for():
    assert Path(name_scratch("export")).name.startswith("spair-export.")
    assert parse_name(name_scratch("export")).stem == "spair-export"

"""Files, folders and patterns give each picture once, with its place below them."""

import errno
import os
from pathlib import Path

import pytest

from spair.runtime import UserError
from spair.runtime.images.finding import find_inputs, list_pictures
from spair.temporary.names import name_beside
from tests.runtime.images.samples import make


def relatives(inputs):
    return [item.relative.as_posix() for item in inputs]


def test_folders_give_their_pictures_in_order(photos):
    assert relatives(find_inputs([photos])) == ["a.jpg", "b.png"]
    every = relatives(find_inputs([photos], recursive=True))
    assert every == ["a.jpg", "b.png", "sub/c.webp", "sub/deep/d.tif"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", ["b.png"]),
        ("[ab].*", ["a.jpg", "b.png"]),
        ("**/*.webp", ["sub/c.webp"]),
        ("s?b/*", ["sub/c.webp"]),
        ("sub/**/*.tif", ["deep/d.tif"]),
    ],
)
def test_patterns_keep_the_layout_below_their_fixed_part(photos, pattern, expected):
    assert relatives(find_inputs([f"{photos}/{pattern}"])) == expected


def test_each_file_is_taken_once(photos):
    found = find_inputs([photos / "b.png", photos, f"{photos}/*.png", photos / "sub" / ".." / "b.png"])
    assert relatives(found) == ["b.png", "a.jpg"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path):
    make(tmp_path / "x[1].png")
    assert relatives(find_inputs([tmp_path / "x[1].png"])) == ["x[1].png"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("none.png", "does not exist"),
        ("*.bmp", "no file matches"),
        ("bare", "holds no picture .*; subfolders are not looked into: give one"),
    ],
)
def test_inputs_that_are_not_there_are_refused(photos, spec, message):
    (photos / "bare").mkdir()
    with pytest.raises(UserError, match=message):
        find_inputs([photos / spec])


def test_results_of_an_earlier_run_are_no_inputs(photos):
    make(photos / "out" / "b.png")
    found = find_inputs([photos, f"{photos}/**/*.png"], recursive=True, exclude=photos / "out")
    assert relatives(found) == ["a.jpg", "b.png", "sub/c.webp", "sub/deep/d.tif"]


def test_a_folder_lists_its_pictures_by_suffix_and_passes_over_what_is_hidden_or_no_file(tmp_path):
    for name in ("b.JPG", "a.png", ".hidden.png", "note.txt", "png"):
        (tmp_path / name).write_bytes(b"x")  # the content is not looked at
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "folder.png" / "deep.TIFF").write_bytes(b"x")
    (tmp_path / "gone.png").symlink_to("nothing.png")
    assert [file.name for file in list_pictures(tmp_path)] == ["a.png", "b.JPG"]
    assert [file.name for file in list_pictures(tmp_path, recursive=True)] == ["a.png", "b.JPG", "deep.TIFF"]


def test_links_and_their_targets_are_inputs_each(tmp_path):
    make(tmp_path / "real.png")
    (tmp_path / "alias.png").symlink_to("real.png")
    assert relatives(find_inputs([tmp_path, tmp_path / "alias.png"])) == ["alias.png", "real.png"]


def test_results_are_left_out_behind_a_link_too(photos, tmp_path):
    make(photos / "out" / "b.png")
    (tmp_path / "link").symlink_to(photos / "out")
    found = find_inputs([photos], recursive=True, exclude=tmp_path / "link")
    assert "out/b.png" not in relatives(found) and len(found) == 4


@pytest.mark.parametrize("pattern", ["*/../b.png", "s?b/../../{name}/b.png", "**/../b.png"])
def test_a_pattern_that_goes_up_after_a_wildcard_is_refused(photos, pattern):
    with pytest.raises(UserError, match=r"has '\.\.' after a wildcard; name the folder before the first wildcard"):
        find_inputs([f"{photos}/{pattern.format(name=photos.name)}"])
    assert relatives(find_inputs([f"{photos}/sub/../*.png"])) == ["b.png"]


@pytest.fixture
def closed(photos, monkeypatch):
    """A folder that cannot be read; the tests may run as root, who reads all."""
    folder, scandir, access = photos / "sub", os.scandir, os.access

    def is_closed(path):
        return Path(path) == folder

    def scan(path):
        if is_closed(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    monkeypatch.setattr(os, "access", lambda path, mode: not is_closed(path) and access(path, mode))
    return folder


@pytest.mark.parametrize("spec", ["", "*/*", "**/*.png"])
def test_a_folder_that_cannot_be_searched_is_named(photos, closed, spec):
    found = find_inputs([f"{photos}/{spec}" if spec else photos], recursive=True)
    obstacles = [item for item in found if item.obstacle]
    assert [item.relative.as_posix() for item in obstacles] == ["sub"]
    assert f"cannot look for pictures in the folder {closed}: Permission denied" in obstacles[0].obstacle
    assert spec == "*/*" or "b.png" in relatives(found), "the others are found"


@pytest.mark.parametrize("listed", [False, True])
def test_a_list_that_would_lack_pictures_is_refused(photos, closed, monkeypatch, listed):
    if listed:  # names alone can be read
        monkeypatch.undo()
        access = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != closed and access(path, mode))
    with pytest.raises(UserError, match="cannot look for pictures in the folder .*sub: Permission denied"):
        list_pictures(photos, recursive=True)
    assert [path.name for path in list_pictures(photos)] == ["a.jpg", "b.png"]


def test_half_written_folders_are_not_searched(photos):
    make(name_beside(photos / "evaluate") / "half.png")
    assert "half.png" not in str(relatives(find_inputs([photos], recursive=True)))


def test_pictures_of_a_folder_are_found_by_content_too(tmp_path):
    make(tmp_path / "a.png").rename(tmp_path / "bare")
    make(tmp_path / "b.jpg").rename(tmp_path / "b.dat")
    (tmp_path / "c.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (tmp_path / "notes.txt").write_text("BM is how a bitmap begins, and P6 a pixmap")
    (tmp_path / "list.json").write_text("{}")
    assert relatives(find_inputs([tmp_path])) == ["b.dat", "bare", "c.heic"]


@pytest.mark.parametrize("spec", ["", "*"])
def test_masks_beside_their_pictures_are_no_inputs(tmp_path, spec):
    for name in ("a.png", "a.mask.png", "b.jpg", "b.jpg.mask.png", "lone.mask.png"):
        make(tmp_path / name)
    told = []
    assert relatives(find_inputs([tmp_path / spec], announce=told.append)) == ["a.png", "b.jpg", "lone.mask.png"]
    assert "2 masks" in told[0] and "(a.mask.png)" in told[0]
    assert relatives(find_inputs([tmp_path / "a.mask.png"])) == ["a.mask.png"], "who names it means it"


def test_links_to_folders_are_told(photos, tmp_path):
    (photos / "more").symlink_to(tmp_path)
    told = []
    find_inputs([photos], recursive=True, announce=told.append)
    assert "1 links to folders" in told[0] and "(more)" in told[0]


def test_a_pipe_is_named(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UserError, match="is no file but a pipe or device"):
        find_inputs([tmp_path / "a.png"])

"""Files, folders and patterns give each picture once, with its place below them."""

import pytest

from spair.runtime import UserError
from spair.runtime.images.finding import find_inputs, list_pictures
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

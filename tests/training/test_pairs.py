import numpy as np
import pytest

from spair.runtime.errors import UserError
from spair.runtime.images import Picture, write_image
from spair.training.pairs import Pair, fingerprint, pair_folders, read_mask, read_rgb


def save(path, size=(6, 9), value=100, channels=3, dtype=np.uint8):
    path.parent.mkdir(exist_ok=True)
    write_image(path, Picture(np.full((*size, channels), value, dtype)))
    return path


@pytest.fixture
def folders(tmp_path):
    """Inputs 1, 2, 10 as JPEG, targets as PNG."""
    for stem in ("10", "2", "1"):
        save(tmp_path / "in" / f"{stem}.jpg")
        save(tmp_path / "clean" / f"{stem}.png")
    return tmp_path


def test_pairs_by_stem_in_natural_order(folders):
    pairs = pair_folders(folders / "in", folders / "clean")
    assert [pair.name for pair in pairs] == ["1", "2", "10"]
    assert pairs[2] == Pair("10", folders / "in" / "10.jpg", folders / "clean" / "10.png", None)


def test_masks_pair_too(folders):
    for stem in ("1", "2", "10"):
        save(folders / "masks" / f"{stem}.png", channels=1)
    pairs = pair_folders(folders / "in", folders / "clean", folders / "masks")
    assert [pair.mask for pair in pairs] == [folders / "masks" / f"{stem}.png" for stem in ("1", "2", "10")]


def test_other_and_hidden_files_are_passed_over(folders):
    (folders / "in" / "README.md").write_text("notes")
    (folders / "in" / "._1.jpg").write_text("resource fork")
    (folders / "clean" / "sub").mkdir()
    assert len(pair_folders(folders / "in", folders / "clean")) == 3


def test_upper_case_suffixes_count(folders):
    (folders / "in" / "2.jpg").rename(folders / "in" / "2.JPG")
    assert len(pair_folders(folders / "in", folders / "clean")) == 3


@pytest.mark.parametrize("role", ["input", "target", "mask"])
def test_absent_folder_is_named_with_its_role(folders, role):
    where = {"input": folders / "in", "target": folders / "clean", "mask": None} | {role: folders / "nowhere"}
    with pytest.raises(UserError, match=rf"the {role} folder .*nowhere is not a folder"):
        pair_folders(where["input"], where["target"], where["mask"])


def test_folder_without_pictures_says_what_counts(folders):
    (folders / "empty").mkdir()
    with pytest.raises(UserError, match=r"target folder .*empty has no pictures: expected files .*\.png"):
        pair_folders(folders / "in", folders / "empty")


def test_unpaired_files_of_both_sides_are_named(folders):
    (folders / "clean" / "1.png").unlink()
    for stem in "abcde":
        save(folders / "clean" / f"{stem}.png")
    expected = r"1\.jpg of .*in has no partner in .*clean and a\.png, b\.png, c\.png and 2 more of .*clean have no"
    with pytest.raises(UserError, match=expected):
        pair_folders(folders / "in", folders / "clean")


def test_missing_mask_is_named(folders):
    save(folders / "masks" / "1.png")
    with pytest.raises(UserError, match=r"10\.jpg, 2\.jpg of .*in have no partner in .*masks: add or remove"):
        pair_folders(folders / "in", folders / "clean", folders / "masks")


def test_two_files_of_one_stem_are_named(folders):
    save(folders / "in" / "2.png")
    with pytest.raises(UserError, match=r"several files of one stem \(2\.jpg, 2\.png\): keep one"):
        pair_folders(folders / "in", folders / "clean")


def test_unequal_sizes_are_named_with_both_sizes(folders):
    save(folders / "clean" / "2.png", size=(7, 9))
    with pytest.raises(UserError, match=r"2\.jpg is 9x6, .*2\.png is 9x7: use matching files"):
        pair_folders(folders / "in", folders / "clean")


def test_mask_of_another_size_is_refused(folders):
    for stem in ("1", "2", "10"):
        save(folders / "masks" / f"{stem}.png", size=(6, 9 if stem == "1" else 8), channels=1)
    with pytest.raises(UserError, match=r"2\.png is 8x6; .*10\.png is 8x6"):
        pair_folders(folders / "in", folders / "clean", folders / "masks")


@pytest.mark.parametrize("content", [b"", b"not a picture"], ids=["empty", "text"])
def test_unreadable_files_are_named(folders, content):
    (folders / "clean" / "10.png").write_bytes(content)
    with pytest.raises(UserError, match=r"1 of the files to evaluate cannot be used: .*10\.png"):
        pair_folders(folders / "in", folders / "clean")


def test_truncated_file_is_found_before_anything_runs(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    for folder in ("in", "clean"):
        (tmp_path / folder).mkdir()
        write_image(tmp_path / folder / "1.png", Picture(noise))
    path = tmp_path / "clean" / "1.png"
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(UserError, match=r"1\.png"):
        pair_folders(tmp_path / "in", tmp_path / "clean")


@pytest.mark.parametrize("channels", [1, 3, 4], ids=["gray", "rgb", "rgba"])
@pytest.mark.parametrize(("dtype", "value"), [(np.uint8, 51), (np.uint16, 13107)], ids=["8-bit", "16-bit"])
def test_read_rgb_gives_float_rgb_in_unit_range(tmp_path, channels, dtype, value):
    image = read_rgb(save(tmp_path / "a.png", (3, 5), value, channels, dtype))
    assert (image.shape, image.dtype) == ((3, 5, 3), np.float32)
    np.testing.assert_allclose(image, 0.2, atol=1e-7)
    image[:] = 0  # the caller's own array, whatever the decoder's buffer is


def test_read_mask_cuts_at_half_and_ignores_alpha(tmp_path):
    pixels = np.zeros((1, 4, 4), np.uint8)
    pixels[..., 3] = 255
    pixels[0, :, 1] = [0, 127, 128, 255]
    write_image(tmp_path / "m.png", Picture(pixels))
    assert read_mask(tmp_path / "m.png").tolist() == [[False, False, True, True]]


def test_fingerprint_follows_contents_and_names_not_places(folders, tmp_path):
    pairs = pair_folders(folders / "in", folders / "clean")
    first = fingerprint(pairs)
    (folders / "in").rename(folders / "moved")
    moved = pair_folders(folders / "moved", folders / "clean")
    assert fingerprint(moved) == first
    assert fingerprint(moved[:2]) != first
    assert fingerprint([Pair(p.name, p.target, p.input) for p in moved]) != first
    save(folders / "clean" / "2.png", value=101)
    assert fingerprint(moved) != first

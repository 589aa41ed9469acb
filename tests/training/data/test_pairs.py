import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from spair.runtime.errors import UserError
from spair.runtime.images import Picture, write_image
from spair.runtime.images.finding import READABLE_SUFFIXES, find_inputs, list_pictures
from spair.training.data import pairs as pairs_module
from spair.training.data.pairs import (
    Pair,
    check_pairs,
    keep_usable,
    pair_folders,
    read_mask,
    read_pair,
    read_pair_uint8,
    read_rgb,
)


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


def test_files_that_restore_finds_in_a_folder_pair_too(folders):
    for suffix in READABLE_SUFFIXES:
        (folders / "in" / f"new{suffix}").write_bytes(b"pairs are found by name")
    assert list_pictures(folders / "in") == [item.path for item in find_inputs([folders / "in"])]
    assert len(list_pictures(folders / "in")) == 3 + len(READABLE_SUFFIXES)


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
    with pytest.raises(UserError, match=r"1 of the files cannot be used: .*10\.png"):
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


def test_halves_lie_in_one_file(tmp_path):
    with pytest.raises(ValueError, match=r"halves must lie in one file, but 1 has a\.png and b\.png"):
        Pair("1", Path("a.png"), Path("b.png"), side="input-left")


def test_the_clean_picture_of_a_network_that_enlarges_is_as_much_larger(tmp_path):
    small, large = save(tmp_path / "a.png", (3, 5)), save(tmp_path / "b.png", (6, 10))
    pair = Pair("1", small, large)
    check_pairs([pair], scale=2)
    image, target, _ = read_pair(pair, 2)
    assert image.shape == (3, 5, 3) and target.shape == (6, 10, 3)
    masked = Pair("2", small, large, save(tmp_path / "m.png", (3, 5), 255, channels=1))
    assert read_pair(masked, 2)[2].shape == (3, 5)
    check_pairs([masked], scale=2)
    for scale, message in ((1, "of a pair must have one size"), (3, "enlarges pictures by 3, and the clean picture")):
        for check in (lambda: read_pair(pair, scale), lambda: check_pairs([pair], scale=scale)):  # noqa: B023
            with pytest.raises(UserError, match=message):
                check()


class TestReading:
    """Pairs read from two files or from the halves of one."""

    @pytest.fixture
    def halves(self, tmp_path):
        """A file of two halves (51 and 102) and a mask."""
        pixels = np.full((3, 10, 3), 51, np.uint8)
        pixels[:, 5:] = 102
        write_image(tmp_path / "1.png", Picture(pixels))
        save(tmp_path / "m.png", (3, 5), 255, channels=1)
        return tmp_path

    @pytest.mark.parametrize(("side", "values"), [("input-left", (51, 102)), ("input-right", (102, 51))])
    def test_a_file_is_cut_in_the_middle(self, halves, side, values):
        pair = Pair("1", halves / "1.png", halves / "1.png", halves / "m.png", side=side)
        check_pairs([pair])
        image, target, mask = read_pair(pair)
        assert mask.all()
        assert mask.shape == (3, 5)
        for part, value in zip((image, target), values, strict=True):
            assert (part.dtype, part.shape) == (np.float32, (3, 5, 3))
            np.testing.assert_allclose(part, value / 255, atol=1e-7)
        whole = read_pair_uint8(pair)
        assert [np.unique(part).tolist() for part in whole[:2]] == [[value] for value in values]

    @pytest.mark.parametrize("channels", [1, 3, 4], ids=["gray", "rgb", "rgba"])
    def test_bytes_stay_bytes(self, tmp_path, channels):
        pair = Pair("1", save(tmp_path / "a.png", value=7, channels=channels), save(tmp_path / "b.png", value=9))
        image, target, mask = read_pair_uint8(pair)
        assert mask is None
        for part, value in ((image, 7), (target, 9)):
            assert (part.dtype, part.shape, part.flags.c_contiguous) == (np.uint8, (6, 9, 3), True)
            assert (part == value).all()
            part[:] = 0  # the caller's own array, whatever the decoder's buffer is

    def test_more_than_8_bits_are_not_cut_to_bytes(self, tmp_path):
        pair = Pair("1", save(tmp_path / "a.png", dtype=np.uint16), save(tmp_path / "b.png"))
        with pytest.raises(UserError, match=r"a\.png has uint16 samples, expected 8 bits"):
            read_pair_uint8(pair)
        assert read_pair(pair)[0].shape == (6, 9, 3)

    @pytest.mark.parametrize("read", [read_pair, read_pair_uint8])
    def test_what_does_not_fit_is_refused(self, halves, read):
        pair = Pair("1", halves / "1.png", save(halves / "other.png", (3, 9)))
        with pytest.raises(
            UserError, match=r"the sizes in pair 1 \(.*1\.png, .*other\.png\) are 10x3, 9x3: use matching"
        ):
            read(pair)
        with pytest.raises(UserError, match=r"even width, but .*other\.png is 9 pixels wide"):
            read(Pair("1", pair.target, pair.target, side="input-left"))


class TestChecking:
    def test_everything_wrong_is_found_at_once(self, tmp_path):
        good = save(tmp_path / "good.png")
        pairs = [Pair(f"{i}", tmp_path / f"absent{i}.png", good) for i in range(5)]
        pairs += [Pair(f"u{i}", save(tmp_path / f"{i}.png", (6, 8)), good) for i in range(5)]
        odd = save(tmp_path / "odd.png", (6, 7))
        pairs += [Pair("odd", odd, odd, side="input-left")]
        expected = (
            r"5 of the files cannot be used: .*absent0\.png.* and 2 more; .*even width, but .*odd\.png cannot.*; "
            r".*one size, but .*0\.png is 8x6, .*good\.png is 9x6; .* and 2 more: use"
        )
        with pytest.raises(UserError, match=expected):
            check_pairs(pairs)

    def test_a_mask_has_the_size_of_a_half(self, tmp_path):
        whole, mask = save(tmp_path / "1.png", (2, 8)), save(tmp_path / "m.png", (2, 8), channels=1)
        with pytest.raises(UserError, match=r"half of .*1\.png is 4x2, .*m\.png is 8x2"):
            check_pairs([Pair("1", whole, whole, mask, side="input-right")])

    def test_shared_files_are_decoded_once(self, tmp_path):
        target = save(tmp_path / "t.png")
        pairs = [Pair(str(i), save(tmp_path / f"{i}.png"), target) for i in range(3)]
        seen = []
        check_pairs(pairs, lambda *state: seen.append(state))
        assert seen == [(1, 4, "0.png"), (2, 4, "t.png"), (3, 4, "1.png"), (4, 4, "2.png")]

    def test_an_interrupt_does_not_wait_for_the_rest(self, tmp_path, monkeypatch):
        stopped, opened = threading.Event(), []

        class Pool(ThreadPoolExecutor):
            """One worker that stays busy with the second file until the others are called off."""

            def __init__(self, workers):
                super().__init__(1)

            def shutdown(self, wait=True, *, cancel_futures=False):
                super().shutdown(wait=False, cancel_futures=cancel_futures)
                stopped.set()
                super().shutdown()

        def size(path):
            if opened:
                stopped.wait()
            opened.append(path)
            return (1, 1)

        def interrupt(done, total, name):
            raise KeyboardInterrupt

        monkeypatch.setattr(pairs_module, "_size", size)
        monkeypatch.setattr(pairs_module, "ThreadPoolExecutor", Pool)
        paths = [tmp_path / f"{i}.png" for i in range(50)]
        with pytest.raises(KeyboardInterrupt):
            check_pairs([Pair(path.stem, path, path) for path in paths], interrupt)
        assert len(opened) <= 2  # the one in hand is finished

    def test_nothing_to_check_is_fine(self):
        check_pairs([])


def test_pairs_that_cannot_be_used_are_left_out_and_named(folders):
    save(folders / "in" / "2.jpg", size=(7, 9))
    (folders / "clean" / "10.png").write_text("x")
    pairs = pair_folders(folders / "in", folders / "clean", check=False)
    side = Pair("side", folders / "in" / "1.jpg", folders / "in" / "1.jpg", side="input-left")
    told = []
    assert keep_usable([*pairs, side], None, told.append) == pairs[:1]
    assert [words.partition(" is left out: ")[0] for words in told] == ["2", "10", "side"]
    assert "9x7" in told[0] and "not a picture" in told[1] and "even width" in told[2]
    with pytest.raises(UserError, match="none of the 2 pairs can be used"):
        keep_usable(pairs[1:], None, told.append)

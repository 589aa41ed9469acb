"""Pictures of a calibration, and the tiles that are cut from them."""

import contextlib
import dataclasses
import shutil

import numpy as np
import pytest

from spair.calibration.options import Options
from spair.calibration.progress import silent
from spair.calibration.statistics.pictures import (
    PER_PICTURE,
    SPREAD,
    CalibrationPicture,
    choose_tiles,
    hold_back,
    middle,
    read_pictures,
    spaced,
)
from spair.runtime import Picture, UserError, read_image, write_image

OPTIONS = Options("int8", tile=32, tiles=4)


def make_picture(name: str, height: int, width: int, density: float = 0.5) -> CalibrationPicture:
    """Make a picture whose distorted pixels are red."""
    random = np.random.default_rng(height * width)
    pixels = random.random((height, width, 3), dtype=np.float32)
    pixels[..., 0] = random.random((height, width)) < density
    return CalibrationPicture(name, pixels, pixels * np.float32(0.5))


def find_mask(tile: CalibrationPicture) -> np.ndarray:
    return tile.pixels[..., 0] > 0.5


# Choices


@pytest.mark.parametrize("most", [1, 2, 3, 5, 7, 8, 100])
@pytest.mark.parametrize("count", [1, 2, 7, 32])
def test_spaced_items_are_in_order_with_both_ends_and_no_large_gap(count, most):
    chosen = spaced(list(range(count)), most)
    assert len(chosen) == min(most, count) and chosen == sorted(set(chosen))
    assert chosen[0] == 0
    if len(chosen) > 1:
        assert chosen[-1] == count - 1
        # Ranks are rounded to whole numbers, so a gap differs from the even one by less than 1
        assert np.abs(np.diff(chosen) - (count - 1) / (len(chosen) - 1)).max() < 1


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8, 33])
def test_every_fourth_picture_is_held_back_and_at_least_one(count):
    giving, held = hold_back(list(range(count)))
    assert sorted(giving + held) == list(range(count)) and giving and giving == sorted(giving)
    assert len(held) == max(1, count // 4)


@pytest.mark.parametrize("side", [1, 4, 5, 6, 7, 99])
def test_the_middle_leaves_as_much_on_both_sides(side):
    pixels = np.arange(7 * 5 * 3).reshape(7, 5, 3)
    cut = middle(pixels, side)
    assert cut.shape == (min(7, side), min(5, side), 3) and cut.flags.c_contiguous
    row, column = (int(place[0]) for place in np.nonzero(pixels[..., 0] == cut[0, 0, 0]))
    for start, kept, size in ((row, cut.shape[0], 7), (column, cut.shape[1], 5)):
        assert 0 <= (size - kept - start) - start <= 1
    np.testing.assert_array_equal(cut, pixels[row : row + cut.shape[0], column : column + cut.shape[1]])


# Tiles


@pytest.mark.parametrize("most", [2, 3, 5, 8, 13])
def test_tiles_come_from_as_many_pictures_as_there_are(most):
    pictures = [make_picture(f"{number}", 64, 64, 0.05 + 0.1 * number) for number in range(8)]
    chosen = choose_tiles(pictures, dataclasses.replace(OPTIONS, tiles=most), find_mask)
    assert len({tile.name for tile in chosen}) == most, "no tile twice"
    densities = [tile.density for tile in chosen]
    assert densities == sorted(densities)
    assert len({tile.source for tile in chosen}) >= min(most, len(pictures)) - 1
    # Half a step of ranks on both sides of an even spacing
    every = sorted(tile.density for tile in choose_tiles(pictures, dataclasses.replace(OPTIONS, tiles=1000), find_mask))
    ranks = np.array([every.index(density) for density in densities])
    step = (len(every) - 1) / (most - 1)
    assert np.abs(ranks - step * np.arange(most)).max() <= step / 2 + 0.5


def test_the_sparsest_and_the_densest_tile_are_chosen():
    pictures = [make_picture(f"{density}", 64, 64, density) for density in (0.9, 0.0, 0.5, 0.2, 0.6)]
    every = choose_tiles(pictures, dataclasses.replace(OPTIONS, tiles=1000), find_mask)
    assert len(every) == PER_PICTURE * len(pictures)
    chosen = choose_tiles(pictures, OPTIONS, find_mask)
    densities = [tile.density for tile in chosen]
    assert len(chosen) == OPTIONS.tiles and densities == sorted(densities)
    assert (densities[0], densities[-1]) == (every[0].density, every[-1].density)
    assert all(tile.density == find_mask(tile).mean() for tile in chosen)


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 41), (100, 32)], ids=str)
def test_tiles_are_cut_on_a_grid_of_eight_pixels_from_corner_to_corner(size):
    picture = make_picture("a", *size)
    tiles = choose_tiles([picture], dataclasses.replace(OPTIONS, tiles=9), None)
    corners = [tuple(int(part) for part in tile.name.removeprefix("a at ").split(",")) for tile in tiles]
    assert len(set(corners)) == len(corners)
    for tile, (left, top) in zip(tiles, corners, strict=True):
        assert left % 8 == top % 8 == 0 and tile.source == "a"
        window = (slice(top, top + 32), slice(left, left + 32))
        np.testing.assert_array_equal(tile.pixels, picture.pixels[window])
        np.testing.assert_array_equal(tile.target, picture.target[window])
        assert tile.pixels.shape == (32, 32, 3)
    assert corners[0] == (0, 0)
    assert corners[-1] == tuple((side - 32) // 8 * 8 for side in size[::-1])


def test_a_picture_of_a_tiles_size_gives_one_tile():
    assert len(choose_tiles([make_picture("a", 39, 32)], OPTIONS, None)) == 1


@pytest.mark.parametrize("density", [0.0, 1.0])
def test_pictures_of_one_density_are_refused(density):
    pictures = [make_picture(name, 40, 48, density) for name in "abcd"]
    with pytest.raises(UserError, match=f"all pieces of the 4 pictures are {100 * density:.1f} to .* % distorted"):
        choose_tiles(pictures, OPTIONS, find_mask)
    assert len(choose_tiles(pictures, OPTIONS, None)) == OPTIONS.tiles, "a network without masks has no density"


def test_densities_may_differ_by_just_the_spread():
    def tilt(tile: CalibrationPicture) -> np.ndarray:
        mask = np.zeros(100, bool)
        mask[: 2 if tile.source == "b" else 1] = True
        return mask

    pictures = [make_picture(name, 32, 32) for name in "ab"]
    assert pytest.approx(0.02 - 0.01) == SPREAD
    assert [tile.density for tile in choose_tiles(pictures, OPTIONS, tilt)] == [0.01, 0.02]
    with pytest.raises(UserError, match="expected densities at least 1 % apart"):
        choose_tiles(pictures[:1], OPTIONS, tilt)


# Names of values


def test_a_digest_names_pixels_shape_and_target():
    picture = make_picture("a", 4, 6)
    others = [
        dataclasses.replace(picture, pixels=picture.pixels.reshape(6, 4, 3)),
        dataclasses.replace(picture, pixels=picture.pixels[::-1].copy()),
        dataclasses.replace(picture, target=None),
        dataclasses.replace(picture, target=picture.pixels),
    ]
    assert len({picture.digest(), *(other.digest() for other in others)}) == 5
    assert dataclasses.replace(picture, name="b", source="c", density=0.1).digest() == picture.digest()


def test_tiles_of_a_larger_clean_picture_lie_at_the_same_place():
    pixels = np.random.default_rng(0).random((40, 56, 3), np.float32)
    picture = CalibrationPicture("a", pixels, pixels.repeat(3, 0).repeat(3, 1))
    assert middle(picture.target, 12, 3).tolist() == middle(pixels, 12).repeat(3, 0).repeat(3, 1).tolist()
    for tile in choose_tiles([picture], OPTIONS, None):
        np.testing.assert_array_equal(tile.target, tile.pixels.repeat(3, 0).repeat(3, 1))


# Files


def test_pictures_are_read_with_their_partners_and_their_middles(pairs):
    options = dataclasses.replace(OPTIONS, side=36)
    told = []

    def progress(what):
        return contextlib.nullcontext(lambda *step: told.append(step))

    pictures = read_pictures(pairs / "input", pairs / "target", options, progress)
    assert [picture.name for picture in pictures] == [f"{number}.png" for number in range(5)]
    assert told == [(count, 5, f"{count - 1}.png") for count in range(1, 6)]
    for picture in pictures:
        whole = read_image(pairs / "input" / picture.name).pixels
        assert picture.pixels.dtype == np.float32 and picture.pixels.shape == (min(36, len(whole)), 36, 3)
        np.testing.assert_allclose(picture.pixels, middle(whole, 36) / 255, atol=2.0**-24)
        clean = middle(read_image(pairs / "target" / picture.name).pixels, 36)
        np.testing.assert_allclose(picture.target, clean / 255, atol=2.0**-24)


def test_without_clean_pictures_there_is_no_target_and_few_are_spaced(pairs):
    pictures = read_pictures(pairs / "input", None, dataclasses.replace(OPTIONS, pictures=4), silent)
    assert [picture.name for picture in pictures] == ["0.png", "1.png", "3.png", "4.png"]
    assert all(picture.target is None for picture in pictures)


def test_a_folder_of_clean_pictures_that_is_absent_is_refused(pairs, tmp_path):
    with pytest.raises(UserError, match=r"--clean .*nowhere does not exist; give the folder of the clean pictures"):
        read_pictures(pairs / "input", tmp_path / "nowhere", OPTIONS, silent)


@pytest.fixture
def own_pairs(pairs, tmp_path):
    """Pairs that a test may change."""
    return shutil.copytree(pairs, tmp_path / "own")


def test_bad_pictures_are_left_out_and_named(own_pairs):
    folder = own_pairs / "input"
    (folder / "damaged.png").write_bytes((folder / "0.png").read_bytes()[:-100])
    write_image(folder / "small.png", Picture(np.zeros((9, 9, 3), np.uint8)))
    told = []
    pictures = read_pictures(folder, None, dataclasses.replace(OPTIONS, pictures=9), silent, told.append)
    assert [picture.name for picture in pictures] == [f"{number}.png" for number in range(5)]
    assert [("damaged or truncated" in words, "9x9 pixels" in words) for words in told] == [
        (True, False),
        (False, True),
    ]
    for number in range(2):
        (folder / f"{number}.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"3 of the 7 pictures of .* can be used, expected at least 4; .*not a picture"):
        read_pictures(folder, None, dataclasses.replace(OPTIONS, pictures=9), silent)


def test_pictures_that_tell_nothing_are_warned_about(own_pairs):
    folder = own_pairs / "input"
    (folder / "9.png").write_bytes((folder / "0.png").read_bytes())
    write_image(folder / "white.png", Picture(np.full((64, 64, 3), 255, np.uint8)))
    told = []
    read_pictures(folder, None, dataclasses.replace(OPTIONS, pictures=9), silent, told.append)
    assert told[0].startswith("9.png is the same picture as 0.png") and told[1].startswith("white.png has one colour")
    assert len(told) == 2


@pytest.mark.parametrize("role", ["input", "target"])
def test_two_files_of_one_stem_are_refused_where_pairs_are_wanted(own_pairs, role):
    (own_pairs / role / "0.webp").write_bytes((own_pairs / role / "0.png").read_bytes())
    with pytest.raises(UserError, match=r"0\.png and .*0\.webp are both the .*picture of the stem 0"):
        read_pictures(own_pairs / "input", own_pairs / "target", OPTIONS, silent)
    if role == "input":
        assert len(read_pictures(own_pairs / "input", None, OPTIONS, silent)) == 6, "without pairs there is no doubt"

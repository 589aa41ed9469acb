"""Composed pictures are as distorted as their patches allow."""

import numpy as np
import pytest

from spair.runtime.profiling.engines.pictures import SIDE, compose_pictures


def make_picture(height=4 * SIDE, width=6 * SIDE):
    """A clean picture whose second patch is three quarters distorted, told by its colour."""
    pixels = np.zeros((height, width, 3), np.uint8)
    mask = np.zeros((height, width), bool)
    mask[: SIDE * 3 // 4, SIDE : 2 * SIDE] = True
    pixels[mask] = 255
    return pixels, mask


def test_densities_are_reached_up_to_that_of_the_worst_patch():
    pixels, mask = make_picture()
    made = compose_pictures(pixels, mask, [0.0, 0.125, 0.375, 0.75])
    found = {asked: (picture[..., 0] == 255).mean() for asked, picture in made.items()}
    assert found == {asked: pytest.approx(asked, abs=0.75 / 48) for asked in (0.0, 0.125, 0.375, 0.75)}
    assert all(picture.shape == pixels.shape and picture.dtype == np.uint8 for picture in made.values())


def test_what_no_patch_has_is_the_nearest_once():
    pixels, mask = make_picture()
    made = compose_pictures(pixels, mask, [0.75, 0.9, 1.0])
    assert list(made) == [0.75] and (made[0.75][..., 0] == 255).mean() == pytest.approx(0.75)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2), (SIDE - 1, SIDE + 1), (2 * SIDE + 1, 200)])
def test_awkward_sizes_are_filled(size):
    random = np.random.default_rng(0)
    pixels = random.integers(1, 256, (*size, 3)).astype(np.uint8)
    mask = random.random(size) < 0.5
    for picture in compose_pictures(pixels, mask, [0.0, 0.3, 1.0]).values():
        assert picture.shape == pixels.shape and picture.min() >= 1


@pytest.mark.parametrize("fill", [False, True])
def test_a_picture_of_one_density_gives_no_others(fill):
    pixels, mask = make_picture()
    assert compose_pictures(pixels, np.full_like(mask, fill), [0.0, 0.5]) == {}

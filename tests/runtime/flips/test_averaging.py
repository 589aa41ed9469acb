"""Mirrored pictures are restored, put back and averaged."""

from types import SimpleNamespace

import numpy as np
import pytest

from spair.runtime import UserError
from spair.runtime.flips import FLIPS, average_flips, check_flips
from spair.runtime.tiling.network import TileCounts

PICTURE = np.random.default_rng(4).random((5, 7, 3), dtype=np.float32)


def shear(picture, mask=None):
    """Result that depends on left and right, top and bottom; without any, it finds one pixel."""
    ramp = np.linspace(0, 1, 35, dtype=np.float32).reshape(5, 7, 1)
    found = np.zeros((5, 7), bool)
    found[1, 2] = True
    found = found if mask is None else mask
    return SimpleNamespace(
        image=np.where(found[..., None], ramp * picture, picture), mask=found, tiles=TileCounts(1, 2, 3)
    )


@pytest.mark.parametrize("flips", FLIPS)
@pytest.mark.parametrize("given", [False, True])
def test_the_mean_is_that_of_the_results_put_back(flips, given):
    mask = np.random.default_rng(5).random((5, 7)) < 0.4 if given else None
    mean, found, tiles = average_flips(shear, np.moveaxis(PICTURE, 2, 0), mask, flips)
    mean = np.moveaxis(mean, 0, 2)
    turns = [(1, 1), (1, -1), (-1, 1), (-1, -1)][:flips]
    results = [
        shear(PICTURE[::down, ::right], None if mask is None else mask[::down, ::right]) for down, right in turns
    ]
    images = [result.image[::down, ::right] for result, (down, right) in zip(results, turns, strict=True)]
    np.testing.assert_allclose(mean, np.mean(np.float64(images), axis=0), atol=4 * np.finfo(np.float32).eps)
    masks = [result.mask[::down, ::right] for result, (down, right) in zip(results, turns, strict=True)]
    np.testing.assert_array_equal(found, np.any(masks, axis=0))
    assert found.sum() == (flips if mask is None else mask.sum())
    np.testing.assert_array_equal(mean[~found], PICTURE[~found])
    assert mean.dtype == np.float32 and tiles == TileCounts(flips, 2 * flips, 3 * flips)


def test_equal_results_are_their_mean_bit_for_bit():
    planes = np.random.default_rng(6).random((3, 64, 48), dtype=np.float32)
    echo = lambda one, mask: SimpleNamespace(image=one, mask=None, tiles=TileCounts())  # noqa: E731
    mean, found, _ = average_flips(echo, planes, None, 4)
    np.testing.assert_array_equal(mean, planes)
    assert found is None


@pytest.mark.parametrize("wrong", [0, 3, 8, -1, True, None, "2", 2.0])
def test_other_numbers_are_refused(wrong):
    with pytest.raises(UserError, match="expected 1, 2 or 4"):
        check_flips(wrong)

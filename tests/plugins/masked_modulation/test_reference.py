"""The definition of MaskedModulation against loops over pixels and against its own equation."""

import math

import numpy as np
import pytest

from spair.plugins.masked_modulation.reference import masked_modulation

ROUNDING = 2.0**-23
"""Relative spacing of float32, to which results are rounded at the end."""


def draw(*shape: int, mean: float = 0.0) -> np.ndarray:
    return (mean + np.random.default_rng(1).standard_normal(shape)).astype(np.float32)


def make_mask(kind: str, batch: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros((batch, 1, height, width), np.float32)
    if kind == "half":
        mask[:] = np.random.default_rng(2).random(mask.shape) < 0.5
    elif kind != "none":
        mask[:] = kind in ("all", "one clean")
        if kind.startswith("one"):
            mask[..., height // 2, width // 3] = kind == "one"
    return mask


def modulate_naively(x: np.ndarray, mask: np.ndarray, eps: float) -> np.ndarray:
    """Modulate with plain numbers, pixel by pixel."""
    out = x.astype(np.float64)
    batch, channels, height, width = x.shape
    for n in range(batch):
        places = [(y, z) for y in range(height) for z in range(width)]
        sides = [[place for place in places if (mask[n, 0][place] == 1) == side] for side in (False, True)]
        if not all(sides):
            continue
        for c in range(channels):
            values = [[float(x[n, c][place]) for place in side] for side in sides]
            means = [math.fsum(part) / len(part) for part in values]
            variances = [
                math.fsum((value - mean) ** 2 for value in part) / len(part)
                for part, mean in zip(values, means, strict=True)
            ]
            for place, value in zip(sides[1], values[1], strict=True):
                unit = (value - means[1]) / math.sqrt(variances[1] + eps)
                out[n, c][place] = unit * math.sqrt(variances[0] + eps) + means[0]
    return out


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3)], ids=str)
@pytest.mark.parametrize("kind", ["none", "one", "half", "one clean", "all"])
@pytest.mark.parametrize("eps", [1e-5, 0.5])
def test_it_equals_loops_over_pixels(size, kind, eps):
    x, mask = draw(2, 3, *size, mean=4.0), make_mask(kind, 2, *size)
    before = x.copy()
    got = masked_modulation(x, mask, eps=eps)
    assert got.dtype == np.float32
    # Both compute in float64, and the loops stay there: one rounding to float32 lies between
    np.testing.assert_allclose(got, modulate_naively(x, mask, eps), rtol=ROUNDING, atol=1e-12)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("kind", ["none", "all"])
def test_pictures_of_one_kind_of_pixel_keep_their_bits(kind):
    x = draw(2, 3, 4, 5)
    np.testing.assert_array_equal(masked_modulation(x, make_mask(kind, 2, 4, 5)), x)


def test_one_picture_without_clean_pixels_does_not_touch_the_others():
    x, mask = draw(3, 2, 4, 5), make_mask("half", 3, 4, 5)
    mask[1] = 1
    got = masked_modulation(x, mask)
    np.testing.assert_array_equal(got[1], x[1])
    for n in (0, 2):
        np.testing.assert_array_equal(got[n : n + 1], masked_modulation(x[n : n + 1], mask[n : n + 1]))
        assert (got[n] != x[n]).any()


def test_one_distorted_pixel_becomes_the_mean_of_the_clean_ones():
    x, mask = draw(1, 3, 5, 3), make_mask("one", 1, 5, 3)
    got = masked_modulation(x, mask)[0][:, mask[0, 0] == 1]
    expected = x[0][:, mask[0, 0] == 0].astype(np.float64).mean(1, keepdims=True)
    np.testing.assert_array_equal(got, expected.astype(np.float32))


def test_distorted_pixels_take_the_statistics_of_clean_ones_whatever_their_own_were():
    """Compare up to eps, which is 1e-12 of variances near 1, and to the rounding of float32."""
    x, mask = draw(1, 2, 20, 30), make_mask("half", 1, 20, 30)
    far = np.where(mask == 1, 8 * x - 16, x).astype(np.float32)
    got, distorted = masked_modulation(far, mask, eps=1e-12), mask[0, 0] == 1
    for c in range(2):
        inside, outside = got[0, c][distorted].astype(np.float64), x[0, c][~distorted].astype(np.float64)
        assert inside.mean() == pytest.approx(outside.mean(), abs=4 * ROUNDING)
        assert inside.std() == pytest.approx(outside.std(), rel=4 * ROUNDING)
        np.testing.assert_array_equal(got[0, c][~distorted], x[0, c][~distorted])

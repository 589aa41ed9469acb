"""The definition of SparseConv2d against dense convolutions and exact numbers."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.signal import correlate

from spair.plugins.sparse_conv2d.reference import quantize, sparse_conv2d, sparse_conv2d_int8, sparse_conv2d_quantize

MASKS = ("none", "one", "half", "one clean", "all")
SIZES = [(1, 1), (1, 6), (5, 3), (8, 9)]


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def make_mask(kind: str, batch: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros((batch, 1, height, width), np.float32)
    if kind == "half":
        mask[:] = np.random.default_rng(2).random(mask.shape) < 0.5
    elif kind != "none":
        mask[:] = kind in ("all", "one clean")
        if kind.startswith("one"):
            mask[..., height // 2, width // 3] = kind == "one"
    return mask


def convolve_densely(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, dilation: int = 1) -> np.ndarray:
    """Convolve every pixel in float64; taps that are apart have zeros between them."""
    outputs, channels, kernel, _ = weight.shape
    wide = np.zeros((outputs, channels, *[(kernel - 1) * dilation + 1] * 2))
    wide[:, :, ::dilation, ::dilation] = weight
    reach = wide.shape[-1] // 2
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    sums = [[correlate(image, taps, "valid", method="direct")[0] for taps in wide] for image in padded]
    return np.array(sums) + bias[:, None, None].astype(np.float64)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (3, 2), (5, 1)])
@pytest.mark.parametrize("clean_input", [False, True], ids=["submanifold", "clean input"])
def test_it_is_the_dense_convolution_of_what_may_be_read_at_distorted_pixels(size, kind, kernel, dilation, clean_input):
    x, mask = draw(2, 3, *size), make_mask(kind, 2, *size)
    weight, bias = draw(4, 3, kernel, kernel, seed=1), draw(4, seed=2)
    got = sparse_conv2d(x, mask, weight, bias, clean_input=clean_input, dilation=dilation)
    expected = convolve_densely(x if clean_input else x * mask, weight, bias, dilation) * mask
    assert got.dtype == np.float32
    # Sums of at most 75 products in float64 on both sides, and one rounding to float32
    np.testing.assert_allclose(got, expected, rtol=2.0**-23, atol=1e-12)


@pytest.mark.parametrize("clean_input", [False, True])
def test_clean_pixels_are_zero_and_only_a_clean_input_reads_them(clean_input):
    x, mask = draw(1, 3, 6, 7), make_mask("half", 1, 6, 7)
    weight, bias = draw(2, 3, 3, 3, seed=1), draw(2, seed=2)
    poisoned = np.where(mask == 1, x, np.nan).astype(np.float32)
    got = sparse_conv2d(poisoned, mask, weight, bias, clean_input=clean_input)
    assert not got[np.broadcast_to(mask == 0, got.shape)].any()
    assert np.isnan(got).any() == clean_input


@pytest.mark.parametrize("slope", [0.0, 0.1, 1.0])
def test_the_residual_is_added_after_the_activation(slope):
    x, mask = draw(2, 3, 5, 4), make_mask("half", 2, 5, 4)
    weight, bias, residual = draw(4, 3, 3, 3, seed=1), draw(4, seed=2), draw(2, 4, 5, 4, seed=3)
    plain = sparse_conv2d(x, mask, weight, bias).astype(np.float64)
    got = sparse_conv2d(x, mask, weight, bias, negative_slope=slope, residual=residual)
    expected = np.where(plain < 0, slope * plain, plain) + residual * mask
    assert (plain < 0).any() and (plain > 0).any()
    # The plain sums were rounded to float32 first, which a sum near zero keeps as an absolute error
    np.testing.assert_allclose(got, expected, rtol=2.0**-23, atol=2.0**-23 * np.abs(plain).max())


@pytest.mark.parametrize("kind", MASKS)
def test_int8_is_the_exact_sum_of_what_the_integers_stand_for(kind):
    random = np.random.default_rng(4)
    x = random.integers(-128, 128, (1, 2, 3, 4)).astype(np.int8)
    weight = random.integers(-127, 128, (2, 2, 3, 3)).astype(np.int8)
    mask, bias, scales = make_mask(kind, 1, 3, 4), draw(2, seed=2), np.float32([0.003, 0.01])
    got = sparse_conv2d_int8(x, mask, weight, bias, 0.0625, scales)
    for d, row, column in np.ndindex(2, 3, 4):
        total = Fraction(0)
        for c, i, j in np.ndindex(2, 3, 3):
            y, z = row + i - 1, column + j - 1
            if 0 <= y < 3 and 0 <= z < 4 and mask[0, 0, y, z]:
                total += int(weight[d, c, i, j]) * int(x[0, c, y, z])
        exact = Fraction(0.0625) * Fraction(float(scales[d])) * total + Fraction(float(bias[d]))
        expected = float(exact) if mask[0, 0, row, column] else 0.0
        assert got[0, d, row, column] == pytest.approx(expected, rel=2.0**-23, abs=1e-12)


def test_a_convolution_that_quantizes_is_the_int8_one_of_quantized_values():
    x, mask = draw(1, 3, 5, 4), make_mask("half", 1, 5, 4)
    weight = np.random.default_rng(1).integers(-127, 128, (2, 3, 3, 3)).astype(np.int8)
    arguments = (mask, weight, draw(2, seed=2), 0.02, np.float32([0.003, 0.01]))
    options = {"negative_slope": 0.1, "dilation": 2, "clean_input": True}
    got = sparse_conv2d_quantize(x, *arguments, **options)
    np.testing.assert_array_equal(got, sparse_conv2d_int8(quantize(x, 0.02), *arguments, **options))
    assert got.any() and not np.array_equal(got, sparse_conv2d_quantize(x + 0.02, *arguments, **options))


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_quantizing_rounds_halves_to_even_and_clamps(kind):
    steps = [0.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.499, 126.5, 127.5, 300.0, -128.5, -129.0, np.inf, -np.inf]
    expected = [0, 0, 2, 2, 0, -2, -2, 0, 126, 127, 127, -128, -128, 127, -128]
    got = quantize((np.array(steps) * 0.25).astype(kind), 0.25)
    assert got.dtype == np.int8
    assert got.tolist() == expected


def test_quantizing_nan_gives_a_number():
    assert -128 <= int(quantize(np.float32([np.nan]), 0.25)[0]) <= 127

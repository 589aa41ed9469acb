import json
import math

import numpy as np
import pytest

from spair.runtime.errors import GateError, UserError
from spair.training.evaluation import metrics


@pytest.fixture
def noise():
    return np.random.default_rng(5)


def picture(noise, height=23, width=31):
    return noise.random((height, width, 3)).astype(np.float32)


def test_luma_is_matlabs_rgb2ycbcr():
    colours = np.array([[[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]], np.float32)
    expected = np.array([[16, 235, 81.481, 144.553, 40.966]]) / 255
    np.testing.assert_allclose(metrics.luma(colours), expected, atol=1e-9)


def test_psnr_of_a_known_error():
    clean = np.zeros((7, 5, 3), np.float32)
    assert metrics.psnr(clean, clean + np.float32(0.1)) == pytest.approx(20, abs=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_picture_without_a_psnr_is_an_error(value):
    broken = np.full((4, 5, 3), 0.5, np.float32)
    broken[0, 0, 0] = value
    with pytest.raises(GateError, match="no finite numbers, so it has no PSNR"):
        metrics.psnr(broken, np.zeros_like(broken))


def test_luma_psnr_has_peak_255_over_a_range_of_219():
    gray = np.full((16, 16, 3), 0.5, np.float32)
    measured = metrics.image_measures(gray + np.float32(0.1), gray)
    assert measured["psnr_rgb"] == pytest.approx(20, abs=1e-4)
    assert measured["psnr_y"] == pytest.approx(20 + 20 * math.log10(255 / 219), abs=1e-4)


def test_one_psnr_alone_is_that_of_all_measures(noise):
    image = picture(noise)
    other = np.clip(image + np.float32(0.1) * image[::-1], 0, 1)
    measured = metrics.image_measures(image, other) | metrics.raindrop_measures(image, other)
    keys = [key for key in measured if key.startswith("psnr")]
    assert len({metrics.psnr_by_key(key, image, other) for key in keys}) == len(keys) == 3
    for key in keys:
        assert metrics.psnr_by_key(key, image, other) == measured[key]


def test_identical_pictures_have_finite_measures(noise):
    image = picture(noise)
    measured = metrics.image_measures(image, image)
    assert measured == {
        "psnr_y": metrics.PSNR_CAP,
        "ssim_y": pytest.approx(1),
        "psnr_rgb": metrics.PSNR_CAP,
        "ssim_rgb": pytest.approx(1),
    }
    assert "Infinity" not in json.dumps(measured, allow_nan=False)


def test_psnr_is_capped_just_above_identity():
    image = np.zeros((4, 4), np.float64)
    assert metrics.psnr(image, image + 1e-6) == metrics.PSNR_CAP
    assert metrics.psnr(image, image + 1.1e-5) < metrics.PSNR_CAP


def test_8_bit_luma_spans_the_full_range_and_is_rounded():
    colours = np.array([[[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]], np.float32)
    np.testing.assert_allclose(metrics.luma_8bit(colours) * 255, [[0, 255, 76, 150, 29]], atol=1e-9)


def test_raindrop_measures_are_those_of_8_bit_luma(noise):
    gray = np.full((16, 16, 3), 100 / 255, np.float32)
    measured = metrics.raindrop_measures(gray + np.float32(26.3 / 255), gray)
    assert measured["psnr_y8"] == pytest.approx(20 * math.log10(255 / 26), abs=1e-9)  # 0.3 is rounded away
    image = picture(noise)
    assert metrics.raindrop_measures(image, image) == {"psnr_y8": metrics.PSNR_CAP, "ssim_y8": pytest.approx(1)}


def reference_flat_ssim(a, b):
    """Compute SSIM in flat windows of 7x7.

    Variances are over n - 1, and only windows that fit count.
    """
    windows = (np.lib.stride_tricks.sliding_window_view(x, (7, 7)).reshape(-1, 49) for x in (a, b))
    values = []
    for x, y in zip(*windows, strict=True):
        cov = np.cov(x, y)
        top = (2 * x.mean() * y.mean() + 0.01**2) * (2 * cov[0, 1] + 0.03**2)
        values.append(top / ((x.mean() ** 2 + y.mean() ** 2 + 0.01**2) * (cov[0, 0] + cov[1, 1] + 0.03**2)))
    return float(np.mean(values))


def test_flat_ssim_is_that_of_the_definition(noise):
    a = noise.random((12, 15))
    b = np.clip(a + noise.normal(0, 0.1, a.shape), 0, 1)
    assert metrics.ssim_flat(a, b) == pytest.approx(reference_flat_ssim(a, b), abs=1e-9)
    assert metrics.ssim_flat(a, b) != pytest.approx(metrics.ssim(a, b), abs=1e-3)


def reference_ssim(a, b):
    """Compute SSIM as Wang et al. 2004 write it.

    The window is an 11x11 Gaussian of sigma 1.5, and only windows that fit count.
    """
    r = np.arange(-5, 6)
    kernel = np.exp(-(r[:, None] ** 2 + r**2) / (2 * 1.5**2))
    kernel /= kernel.sum()

    def blur(x):
        return np.einsum("hwij,ij->hw", np.lib.stride_tricks.sliding_window_view(x, (11, 11)), kernel)

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b, cov = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2, blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    return float(np.mean(top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))))


@pytest.mark.parametrize("size", [(11, 11), (12, 17), (23, 31)])
def test_ssim_is_that_of_the_definition(noise, size):
    a = noise.random(size)
    b = np.clip(a + noise.normal(0, 0.1, size), 0, 1)
    assert metrics.ssim(a, b) == pytest.approx(reference_ssim(a, b), abs=1e-9)
    colour = metrics.ssim(np.stack([a, b, a], 2), np.stack([b, b, b], 2))
    assert colour == pytest.approx((2 * reference_ssim(a, b) + 1) / 3, abs=1e-9)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (10, 3), (7, 11)])
def test_pictures_below_the_ssim_window_have_a_value(noise, size):
    a, b = picture(noise, *size), picture(noise, *size)
    for measure in (metrics.ssim, metrics.ssim_flat):
        assert measure(a, a) == pytest.approx(1)
        assert -1 <= measure(a, b) < 0.999


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim, metrics.lab_sums, metrics.mask_measures])
def test_unequal_shapes_are_a_bug_and_named(measure):
    with pytest.raises(ValueError, match=r"one shape, got \(12, 12, 3\) and \(12, 13, 3\)"):
        measure(np.zeros((12, 12, 3), bool), np.zeros((12, 13, 3), bool))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", ["round", "floor", "none"])
def test_quantize_leaves_every_8_bit_value_as_its_file_has_it(mode, dtype):
    levels = np.arange(256).astype(dtype) / dtype(255)
    kept = metrics.quantize(levels, mode)
    assert kept.dtype == dtype
    np.testing.assert_array_equal(kept, levels)


def test_quantize_modes():
    values = np.array([-0.2, 0.4, 0.6, 254.7, 300], np.float32) / np.float32(255)

    def levels(mode):
        return metrics.quantize(values, mode) * 255

    np.testing.assert_allclose(levels("round"), [0, 0, 1, 255, 255], atol=1e-4)
    np.testing.assert_allclose(levels("floor"), [0, 0, 0, 254, 255], atol=1e-4)
    np.testing.assert_array_equal(metrics.quantize(values, "none"), values)


def test_unknown_quantize_mode_lists_the_modes():
    with pytest.raises(UserError, match=r"unknown quantize mode 'ceil': choose one of round, floor, none"):
        metrics.quantize(np.zeros((1, 1, 3), np.float32), "ceil")


def gray_of_lightness(lightness, height, width):
    """Make an sRGB gray 0..1 of a given lightness L.

    Above L = 8, L = 116 Y^(1/3) - 16.
    """
    linear = ((lightness + 16) / 116) ** 3
    return np.full((height, width, 3), 1.055 * linear ** (1 / 2.4) - 0.055)


def test_lab_error_by_region_is_weighted_by_pixels():
    target = gray_of_lightness(60, 4, 10)
    image = target.copy()
    image[:, :2] = gray_of_lightness(30, 4, 2)
    image[:, 2:] = gray_of_lightness(55, 4, 8)
    shadow = np.zeros((4, 10), bool)
    shadow[:, :2] = True
    sums = metrics.lab_sums(image, target, shadow)
    assert sums["shadow"].table_error() == pytest.approx(30, abs=0.02)
    assert sums["non_shadow"].table_error() == pytest.approx(5, abs=0.02)
    assert sums["all"].table_error() == pytest.approx(0.2 * 30 + 0.8 * 5, abs=0.02)
    assert sums["all"].root_error() == pytest.approx(math.sqrt(0.2 * 900 + 0.8 * 25), abs=0.02)


def test_lab_error_adds_the_three_channels():
    red, black = np.zeros((2, 2, 3)), np.zeros((2, 2, 3))
    red[..., 0] = 1  # Lab of sRGB red is (53.24, 80.09, 67.20) under D65
    assert metrics.lab_sums(red, black)["all"].table_error() == pytest.approx(200.5, abs=0.1)
    assert metrics.lab_sums(red, black)["all"].root_error() == pytest.approx(117.3, abs=0.1)


def test_lab_sums_add_up_over_pictures():
    one, two = metrics.LabSums(2, 6.0, 20.0), metrics.LabSums(6, 2.0, 12.0)
    assert one.plus(two).table_error() == pytest.approx(1)
    assert one.plus(two).root_error() == pytest.approx(2)


def test_lab_error_without_a_mask_or_pixels_is_none():
    image = np.zeros((3, 3, 3))
    sums = metrics.lab_sums(image, image)
    assert sums["all"].table_error() == 0
    assert sums["shadow"].table_error() is None
    assert sums["non_shadow"].root_error() is None
    everything = metrics.lab_sums(image, image, np.ones((3, 3), bool))
    assert everything["shadow"].pixels == 9
    assert everything["non_shadow"].table_error() is None


def test_mask_measures_count_pixels():
    predicted = np.array([[1, 1, 1, 0], [0, 0, 0, 0]], bool)
    truth = np.array([[1, 1, 0, 1], [1, 1, 0, 0]], bool)
    measured = metrics.mask_measures(predicted, truth)
    assert measured == pytest.approx({"precision": 2 / 3, "recall": 2 / 5, "iou": 2 / 6})


@pytest.mark.parametrize(
    ("predicted", "truth", "expected"),
    [
        (0, 0, {"precision": 1, "recall": 1, "iou": 1}),
        (1, 0, {"precision": 0, "recall": 1, "iou": 0}),
        (0, 1, {"precision": 1, "recall": 0, "iou": 0}),
        (1, 1, {"precision": 1, "recall": 1, "iou": 1}),
    ],
    ids=["none-none", "all-none", "none-all", "all-all"],
)
def test_degenerate_masks_have_measures(predicted, truth, expected):
    shape = (3, 5)
    measured = metrics.mask_measures(np.full(shape, predicted, bool), np.full(shape, truth, bool))
    assert measured == expected


SHAPES = {"none": np.zeros, "all": np.ones}


@pytest.mark.parametrize("predicted", ["none", "all", "some"])
@pytest.mark.parametrize("truth", ["none", "all", "some"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5)], ids=str)
def test_counts_give_the_measures_of_masks(predicted, truth, size):
    noise = np.random.default_rng(1)
    one, other = (
        SHAPES[kind](size, bool) if kind in SHAPES else noise.random(size) < 0.4 for kind in (predicted, truth)
    )
    counts = metrics.MaskCounts.of(one, other)
    assert sum(counts) == one.size
    measures = counts.measures()
    assert metrics.mask_measures(one, other) == {key: measures[key] for key in ("precision", "recall", "iou")}
    claimed, present, either = one.sum(), other.sum(), (one | other).sum()
    hit = (one & other).sum()
    assert measures["precision"] == (hit / claimed if claimed else 1)
    assert measures["recall"] == (hit / present if present else 1)
    assert measures["iou"] == (hit / either if either else 1)
    missed = (other & ~one).sum() / other.sum() if other.any() else 0
    false = (one & ~other).sum() / (~other).sum() if not other.all() else 0
    assert measures["ber"] == pytest.approx((missed + false) / 2)
    assert counts.densities() == {"density": one.mean(), "true_density": other.mean()}


def test_ber_weighs_both_kinds_of_pixels_alike():
    """One true pixel of a hundred counts a half.

    This holds whether it is found or missed, whatever the other pixels are.
    """
    truth = np.zeros((10, 10), bool)
    truth[3, 4] = True
    assert metrics.MaskCounts.of(np.zeros_like(truth), truth).measures()["ber"] == 0.5
    assert metrics.MaskCounts.of(np.ones_like(truth), truth).measures()["ber"] == 0.5
    assert metrics.MaskCounts.of(truth, truth).measures()["ber"] == 0
    assert metrics.MaskCounts.of(~truth, truth).measures()["ber"] == 1


def test_masks_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match=r"one shape, got \(3, 5\) and \(3, 4\)"):
        metrics.mask_measures(np.ones((3, 5), bool), np.ones((3, 4), bool))

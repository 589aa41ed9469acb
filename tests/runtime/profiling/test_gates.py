"""The gates before times refuse dropped, shifted and changed pixels."""

import numpy as np
import pytest

from spair.runtime import GateError
from spair.runtime.profiling.cases import RunSetting
from spair.runtime.profiling.gates import DIFFERING, check_baseline, check_clean, check_same


@pytest.fixture
def picture():
    return np.random.default_rng(3).random((33, 47, 3)).astype(np.float32)


def test_equal_up_to_the_order_of_sums_passes(picture):
    assert check_same("x", "packed", picture + np.float32(5e-5), picture, 1e-4) == pytest.approx(5e-5, rel=0.01)


@pytest.mark.parametrize("change", ["dropped piece", "shifted", "black", "not a number"])
def test_other_pictures_do_not(picture, change):
    bad = {"shifted": np.roll(picture, 1, axis=1), "black": np.zeros_like(picture)}.get(change, picture.copy())
    if change == "dropped piece":
        bad[8:16, 8:16] = 0.5
    if change == "not a number":
        bad[3, 3, 0] = np.nan
    with pytest.raises(GateError, match=r"streak 0\.1: the packed restoration differs .* no times are reported"):
        check_same("streak 0.1", "packed", bad, picture, 1e-4)


def test_a_single_clean_pixel_that_changed_is_refused(picture):
    mask = np.zeros((33, 47), bool)
    mask[5, 6] = True
    restored = picture.copy()
    restored[5, 6] = 0
    check_clean("x", picture, restored, mask)
    restored[32, 46, 2] += np.float32(1e-6)
    with pytest.raises(GateError, match=r"x: the restoration changed clean pixels \(1 of them\)"):
        check_clean("x", picture, restored, mask)


def test_gray_pictures_have_clean_pixels_too(picture):
    gray, mask = picture[..., :1], np.zeros((33, 47), bool)
    with pytest.raises(GateError, match="1551 of them"):
        check_clean("x", gray, gray + 1, mask)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_against_the_baseline_a_few_pixels_may_flip(picture, kind):
    top = 1.0 if kind is np.float32 else float(np.iinfo(kind).max)
    dense = (picture * top * 0.8).astype(kind)
    flipped = dense.copy()
    flipped[0, 0, 0] += kind(top / 10)
    assert check_baseline("p", flipped, dense) == pytest.approx(1 / dense.size)
    assert check_baseline("p", dense + kind(top / 256), dense) == 0
    with pytest.raises(GateError, match=r"p: .* % of the samples differ"):
        check_baseline("p", np.roll(dense, 1, axis=0), dense)


def test_a_difference_of_the_very_tolerance_passes_and_the_next_number_does_not():
    dense, tolerance = np.zeros((3, 5, 3), np.float32), 2.0**-10
    restored = dense.copy()
    restored[-1, -1, -1] = -tolerance
    assert check_same("x", "packed", restored, dense, tolerance) == tolerance
    restored[-1, -1, -1] = np.nextafter(np.float32(-tolerance), np.float32(-1))
    with pytest.raises(GateError, match="allowed 0.00098"):
        check_same("x", "packed", restored, dense, tolerance)


@pytest.mark.parametrize("channels", [None, 1, 3])
def test_under_a_full_mask_everything_may_change_and_under_none_nothing(picture, channels):
    image = picture[..., 0] if channels is None else picture[..., :channels]
    check_clean("x", image, 1 - image, np.ones((33, 47), bool))
    check_clean("x", image, image.copy(), np.zeros((33, 47), bool))
    with pytest.raises(GateError, match="1551 of them"):
        check_clean("x", image, 1 - image, np.zeros((33, 47), bool))


@pytest.mark.parametrize(("kind", "step"), [(np.uint8, 1), (np.uint16, 257)])
def test_one_step_of_eight_bits_is_no_difference(kind, step):
    dense = np.full((10, 25, 4), kind(step * 100))
    assert check_baseline("p", dense + kind(step), dense) == check_baseline("p", dense - kind(step), dense) == 0
    with pytest.raises(GateError, match=r"100\.00 % of the samples differ"):
        check_baseline("p", dense + kind(step + 1), dense)


def test_the_share_that_may_differ_is_one_in_a_thousand():
    dense = np.zeros((10, 25, 4), np.uint8)
    adaptive = dense.copy()
    adaptive[0, 0, 0] = 255
    assert check_baseline("p", adaptive, dense) == DIFFERING
    adaptive[9, 24, 3] = 2
    with pytest.raises(GateError, match=r"0\.20 % of the samples differ .* allowed 0\.1 %"):
        check_baseline("p", adaptive, dense)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers_differ_from_the_baseline(picture, value):
    with pytest.raises(GateError, match=r"100\.00 % of the samples differ"):
        check_baseline("p", np.full_like(picture, value), picture)


def test_precisions_that_are_derived_may_flip_more_of_the_mask():
    setting, dense = RunSetting("bf16", backend="cpu"), np.zeros((100, 100), np.uint8)
    adaptive = dense.copy()
    adaptive[:1] = 9
    with pytest.raises(GateError, match="1.00 % of the samples differ"):
        check_baseline("p", adaptive, dense, RunSetting("fp32").differing)
    assert check_baseline("p", adaptive, dense, setting.differing) == pytest.approx(0.01)
    assert setting.graphs == "fp32" and RunSetting("int8-bf16").graphs == "int8"
    with pytest.raises(GateError, match="allowed 5.0 %"):
        check_baseline("p", np.full_like(dense, 9), dense, setting.differing)

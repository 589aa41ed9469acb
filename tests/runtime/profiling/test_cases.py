"""The gates before times refuse dropped, shifted and changed pixels; masks and keys are what they say."""

import numpy as np
import pytest

from spair.runtime import GateError, UserError
from spair.runtime.profiling.cases import Case, RunSetting, make_cases
from spair.runtime.profiling.gates import check_baseline, check_clean, check_same


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


def test_half_precision_may_differ_by_more():
    assert RunSetting("fp32").tolerance == 1e-4 < RunSetting("fp16").tolerance == RunSetting("int8").tolerance < 0.01


def test_masks_are_made_in_order_and_the_same_every_time():
    first, second = (make_cases(["blob", "streak"], [0.1, 1.0], 40, 60) for _ in range(2))
    assert [str(case) for case in first] == ["blob 0.1", "blob 1", "streak 0.1", "streak 1"]
    assert all((one.mask == other.mask).all() for one, other in zip(first, second, strict=True))
    assert first[0].mask.sum() == 240


def test_masks_without_a_shape_are_measured_once():
    cases = make_cases(["blob", "streak"], [0.0, 0.1, 1.0], 40, 60)
    assert len({case.key for case in cases}) == 4


def test_unknown_shapes_are_refused():
    with pytest.raises(UserError, match="no mask of shape 'dots'"):
        make_cases(["dots"], [0.1], 8, 8)


def test_a_case_says_what_it_is():
    assert str(Case("blob", 0.125, np.zeros((1, 1), bool))) == "blob 0.125"

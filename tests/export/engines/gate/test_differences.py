"""Differences of restorations, and limits of them."""

from __future__ import annotations

import numpy as np
import pytest

from spair.export.engines.gate.differences import FREE, MOST, REACH, Differences, _grow, list_limits, measure

SIZE = (60, 80)
EQUAL = Differences(0.0, 0.0, 0.0, 0, 9)


def make_pair() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Two equal restorations, the left half of which is restored."""
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    mask = np.zeros(SIZE, bool)
    mask[:, :40] = True
    return (picture.copy(), mask.copy()), (picture, mask)


def test_equal_restorations_do_not_differ():
    found = measure(*make_pair(), gated=True)
    assert found == Differences(0.0, 0.0, 0.0, 0, 60 * 40)
    assert found.psnr == 100.0


def test_each_kind_of_difference_is_counted_where_it_is():
    found, expected = make_pair()
    expected[0][...] = 100
    found[0][...] = 100
    found[0][5, 5] = (100, 104, 97)  # restored by both
    found[0][7, 70] = 101  # left alone by both
    found[0][50, 60] = 0  # restored by one
    found[1][50, 60] = True
    differences = measure(found, expected, gated=True)
    assert differences.unequal == 1 / 4800
    assert differences.mse == pytest.approx((16 + 9) / 3 / 2400)
    assert (differences.worst, differences.untouched, differences.restored) == (4.0, 1, 2400)
    everywhere = measure(found, expected, gated=False)
    assert (everywhere.worst, everywhere.untouched, everywhere.restored) == (4.0, 0, 4800)


@pytest.mark.parametrize(("distance", "worst"), [(REACH, 0.0), (REACH + 1, 9.0)])
def test_the_largest_difference_is_not_looked_at_beside_an_unequal_mask(distance, worst):
    found, expected = make_pair()
    expected[0][...] = 100
    found[0][...] = 100
    found[1][30, 10] = False
    found[0][30, 10 + distance] = 109
    differences = measure(found, expected, gated=True)
    assert differences.worst == worst
    assert differences.mse > 0


@pytest.mark.parametrize("reach", [1, 3, 100])
def test_growing_adds_a_square(reach):
    mask = np.zeros((20, 30), bool)
    mask[4, 7] = mask[19, 29] = True
    grown = _grow(mask, reach)
    rows, columns = np.mgrid[0:20, 0:30]
    expected = np.zeros_like(mask)
    for row, column in ((4, 7), (19, 29)):
        expected |= np.maximum(abs(rows - row), abs(columns - column)) <= reach
    np.testing.assert_array_equal(grown, expected)


def test_limits_are_twice_what_rounding_does_and_a_little():
    natural = Differences(1e-3, 0.5, 3.0, 0, 9)
    limits = list_limits(natural, 10_000, given=False)
    assert limits == {"unequal": pytest.approx(2.5e-3), "mse": 3.1, "worst": 7.0, "untouched": 0.0}
    assert list_limits(natural, 10_000, given=True) == {**limits, "unequal": 0.0, "mse": 2.1}


def test_limits_are_never_coarse_whatever_the_precision():
    limits = list_limits(Differences(0.5, 900.0, 200.0, 0, 9), 10_000, given=False)
    assert {name: limits[name] for name in MOST} == MOST


def test_few_pixels_of_a_found_mask_may_differ_and_none_of_a_given_one():
    assert list_limits(EQUAL, 100, given=False)["unequal"] == 0.04
    assert list_limits(EQUAL, 10**6, given=False)["unequal"] == FREE["unequal"]
    assert list_limits(EQUAL, 100, given=True)["unequal"] == 0.0


def test_json_has_the_ratio_beside_the_mean():
    assert Differences(0.0, 1.0, 2.0, 0, 5).to_json() == {
        "unequal": 0.0,
        "mse": 1.0,
        "psnr": 48.13,
        "worst": 2.0,
        "untouched": 0,
        "restored": 5,
    }


def test_where_no_pixel_is_far_from_unequal_masks_the_largest_difference_is_unknown():
    """Not zero, which would allow one step to engines whose masks differ elsewhere."""
    picture, mask = np.full((20, 20, 3), 90, np.uint8), np.ones((20, 20), bool)
    other = mask.copy()
    other[10, 10] = False
    natural = measure((picture, other), (picture, mask), gated=True)
    assert (natural.far, natural.worst) == (False, 0.0)
    assert list_limits(natural, 400, given=False)["worst"] == MOST["worst"]
    assert measure((picture, mask), (picture, mask), gated=True).far

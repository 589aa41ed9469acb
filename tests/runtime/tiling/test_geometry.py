"""Cores partition the picture, windows stay inside it and stay aligned, blending weights sum to one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spair.runtime.tiling.geometry import Box, axis_weights, feather_weights, round_down, round_up, tile_grid

UNITS = st.integers(1, 12)
MULTIPLES = st.sampled_from([1, 2, 8])


@given(UNITS, UNITS, UNITS, st.integers(0, 40), MULTIPLES)
def test_cores_partition_the_picture_exactly(rows, columns, core, halo, multiple):
    area = Box(0, 0, rows * multiple, columns * multiple)
    count = np.zeros((area.height, area.width), dtype=int)
    for tile in tile_grid(area, core=core * multiple, halo=halo, multiple=multiple):
        tile.core.view(count)[...] += 1
    assert (count == 1).all()


@given(UNITS, UNITS, UNITS, st.integers(0, 40), MULTIPLES)
def test_windows_are_aligned_and_hold_the_halo_up_to_the_border(rows, columns, core, halo, multiple):
    area = Box(0, 0, rows * multiple, columns * multiple)
    for tile in tile_grid(area, core=core * multiple, halo=halo, multiple=multiple):
        window = tile.window
        window.reduced(multiple)  # raises when misaligned
        assert window.top == 0 or tile.core.top - window.top >= halo
        assert window.left == 0 or tile.core.left - window.left >= halo
        assert window.bottom == area.bottom or window.bottom - tile.core.bottom >= halo
        assert window.right == area.right or window.right - tile.core.right >= halo
        assert area.contains(window)


@given(UNITS, UNITS, UNITS, st.integers(0, 20), MULTIPLES)
def test_feather_weights_sum_to_one_everywhere(rows, columns, core, feather, multiple):
    area = Box(0, 0, rows * multiple, columns * multiple)
    grid = tile_grid(area, core=core * multiple, halo=feather, multiple=multiple)
    total = np.zeros((area.height, area.width))
    for tile, weight in zip(grid, feather_weights(grid, area, feather), strict=True):
        assert weight.shape == (tile.window.height, tile.window.width)
        tile.window.view(total)[...] += weight
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


def test_core_in_window_cuts_the_same_pixels():
    area = Box(0, 0, 40, 56)
    picture = np.arange(40 * 56).reshape(40, 56)
    for tile in tile_grid(area, core=16, halo=8, multiple=8):
        inner = tile.core_in_window.view(tile.window.view(picture))
        np.testing.assert_array_equal(inner, tile.core.view(picture))


def test_windows_may_reach_beyond_their_area_up_to_the_bounds():
    block, picture = Box(16, 16, 32, 32), Box(0, 0, 64, 64)
    (tile,) = tile_grid(block, core=16, halo=5, multiple=8, bounds=picture)
    assert tile.core == block
    assert tile.window == Box(8, 8, 40, 40)


def test_without_feather_each_core_keeps_its_own_pixels():
    left, right = axis_weights([(0, 3), (3, 5)], 5, feather=0)
    np.testing.assert_array_equal(left, [1, 1, 1, 0, 0])
    np.testing.assert_array_equal(right, [0, 0, 0, 1, 1])


def test_feather_falls_linearly_and_never_overshoots():
    left, right = axis_weights([(0, 8), (8, 16)], 16, feather=3)
    assert left[4] == 1.0 and right[4] == 0.0
    assert np.all(np.diff(left) <= 0)
    np.testing.assert_allclose(left[7], 1 / (1 + 0.75), rtol=1e-6)


@pytest.mark.parametrize("settings", [{"core": 12, "halo": 0}, {"core": 0, "halo": 0}, {"core": 8, "halo": -1}])
def test_misaligned_cores_and_negative_halos_are_refused(settings):
    with pytest.raises(ValueError, match="positive multiple of 8"):
        tile_grid(Box(0, 0, 16, 16), multiple=8, **settings)


def test_misaligned_areas_are_refused():
    with pytest.raises(ValueError, match="not multiples of 8"):
        tile_grid(Box(0, 0, 16, 17), core=8, halo=0, multiple=8)


def test_boxes_refuse_nonsense():
    with pytest.raises(ValueError, match="top < bottom"):
        Box(3, 0, 3, 4)
    with pytest.raises(ValueError, match="does not lie inside"):
        Box(0, 0, 2, 2).relative_to(Box(1, 1, 3, 3))


@pytest.mark.parametrize(("value", "up", "down"), [(1, 8, 8), (8, 8, 8), (9, 16, 8), (17, 24, 16)])
def test_rounding(value, up, down):
    assert round_up(value, 8) == up
    assert round_down(value, 8) == down

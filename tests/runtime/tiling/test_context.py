"""Whole-picture statistics: blocks add up to a direct computation, degenerate masks are defined and finite."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spair.runtime.tiling.context import ContextStatistics, Moments, mask_pyramid, split_moments
from spair.runtime.tiling.geometry import Box, tile_grid
from spair.runtime.tiling.spec import SpairNetwork

SPEC = SpairNetwork(halo_l=0, halo_r=0, grid=4)
HEIGHT, WIDTH = 40, 72


def make_features(seed=0, offset=0.0):
    random = np.random.default_rng(seed)
    sizes = {1: (6, HEIGHT // 2, WIDTH // 2), 2: (5, HEIGHT // 4, WIDTH // 4)}
    return {s: (random.normal(offset, 1, size)).astype(np.float32) for s, size in sizes.items()}


def make_mask(kind):
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    if kind == "full":
        mask[:] = True
    elif kind == "one pixel":
        mask[17, 33] = True
    elif kind == "all but one":
        mask[:] = True
        mask[:8, :8] = False
    elif kind == "random":
        mask = np.random.default_rng(1).random((HEIGHT, WIDTH)) < 0.05
    elif kind == "streak":
        mask[:, 30:34] = True
    return mask


MASKS = ["empty", "one pixel", "streak", "random", "all but one", "full"]


def accumulate(mask, features, core):
    statistics = ContextStatistics(SPEC, HEIGHT, WIDTH)
    for tile in tile_grid(Box(0, 0, HEIGHT, WIDTH), core=core, halo=0, multiple=8):
        parts = {s: tile.core.reduced(2**s).view(f) for s, f in features.items()}
        statistics.add(tile.core, tile.core.view(mask), parts)
    return statistics.finish()


def pooled(mask, levels):
    for _ in range(levels):
        mask = mask[0::2, 0::2] | mask[1::2, 0::2] | mask[0::2, 1::2] | mask[1::2, 1::2]
    return mask


def direct_modulation(features, mask, eps=1e-5):
    values = features.astype(np.float64)
    if mask.all() or not mask.any():
        return np.ones(len(values)), np.zeros(len(values))
    clean, distorted = values[:, ~mask], values[:, mask]
    scale = np.sqrt((clean.var(axis=1) + eps) / (distorted.var(axis=1) + eps))
    return scale, clean.mean(axis=1) - distorted.mean(axis=1) * scale


def direct_keys(features, mask):
    """Pixel by pixel, straight from the definition of the cells."""
    channels, height, width = features.shape
    cells: dict = {}
    for row in range(height):
        for column in range(width):
            if not mask[row, column]:
                cell = (row * SPEC.grid // height, column * SPEC.grid // width)
                cells.setdefault(cell, []).append(features[:, row, column].astype(np.float64))
    keys, present = np.zeros((channels, SPEC.grid, SPEC.grid)), np.zeros((SPEC.grid, SPEC.grid))
    for cell, values in cells.items():
        keys[(slice(None), *cell)], present[cell] = np.mean(values, axis=0), 1
    return keys, present


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("core", [8, 24, 200])
def test_blocks_add_up_to_the_direct_computation(kind, core):
    mask, features = make_mask(kind), make_features()
    context = accumulate(mask, features, core)
    for scale in (1, 2):
        expected_scale, expected_shift = direct_modulation(features[scale], pooled(mask, scale))
        np.testing.assert_allclose(context.scale[scale].ravel(), expected_scale, rtol=1e-6)
        np.testing.assert_allclose(context.shift[scale].ravel(), expected_shift, rtol=1e-5, atol=1e-6)
        assert context.scale[scale].shape == (1, len(features[scale]), 1, 1)
        assert context.scale[scale].dtype == context.shift[scale].dtype == np.float32
    keys, present = direct_keys(features[2], pooled(mask, 2))
    np.testing.assert_allclose(context.keys[0], keys, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(context.key_mask[0, 0], present)
    assert context.is_finite


def test_without_distortion_nothing_is_modulated():
    context = accumulate(make_mask("empty"), make_features(), 16)
    assert all((context.scale[s] == 1).all() and (context.shift[s] == 0).all() for s in (1, 2))
    assert (context.key_mask == 1).all()


def test_without_clean_pixels_there_are_no_keys_and_no_modulation():
    context = accumulate(make_mask("full"), make_features(), 16)
    assert all((context.scale[s] == 1).all() and (context.shift[s] == 0).all() for s in (1, 2))
    assert (context.key_mask == 0).all() and (context.keys == 0).all()


def test_a_large_mean_does_not_eat_the_variance():
    mask = make_mask("random")
    features = make_features(offset=1000.0)
    expected, _ = direct_modulation(features[1], pooled(mask, 1))
    np.testing.assert_allclose(accumulate(mask, features, 8).scale[1].ravel(), expected, rtol=1e-6)


def test_non_finite_distorted_features_leave_the_keys_alone_but_are_noticed():
    mask, features = make_mask("one pixel"), make_features()
    features[2][:, 17 // 4, 33 // 4] = np.nan
    context = accumulate(mask, features, 8)
    assert np.isfinite(context.keys).all()
    assert not context.is_finite


def test_a_picture_smaller_than_the_key_grid_leaves_cells_empty():
    statistics = ContextStatistics(SPEC, 8, 8)
    statistics.add(Box(0, 0, 8, 8), np.zeros((8, 8)), {1: np.ones((2, 4, 4)), 2: np.ones((3, 2, 2))})
    context = statistics.finish()
    np.testing.assert_array_equal(context.key_mask[0, 0], [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]])


def test_the_pyramid_loses_no_pixel():
    levels = mask_pyramid(make_mask("one pixel"), 2)
    assert [level.sum() for level in levels] == [1, 1, 1]
    assert levels[2][17 // 4, 33 // 4] == 1


def test_finishing_without_a_block_is_a_bug():
    with pytest.raises(ValueError, match="no block"):
        ContextStatistics(SPEC, 8, 8).finish()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.integers(0, 2**31))
def test_merged_moments_equal_those_of_all_values(sizes, seed):
    random = np.random.default_rng(seed)
    parts = [random.normal(5, 2, (3, size)) for size in sizes]
    total = Moments.none(3)
    for part in parts:
        if part.size:
            total = total.merged(split_moments(part, np.zeros(part.shape[1]))[0])
    together = np.concatenate(parts, axis=1)
    assert total.count == together.shape[1]
    if together.size:
        np.testing.assert_allclose(total.mean, together.mean(axis=1), rtol=1e-12)
        np.testing.assert_allclose(total.variance, together.var(axis=1), rtol=1e-9, atol=1e-12)


def direct(values: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """Count, mean and variance by their definitions; 0 for no values."""
    if not values.shape[1]:
        return 0, np.zeros(len(values)), np.zeros(len(values))
    mean = values.mean(axis=1)
    return values.shape[1], mean, ((values - mean[:, None]) ** 2).mean(axis=1)


@pytest.mark.parametrize("kind", ["clean", "distorted", "first", "last", "every other"])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_clean_and_distorted_values_are_told_apart(kind, size, offset):
    values = np.random.default_rng(0).normal(offset, 1.0, (3, size))
    mask = np.zeros(size)
    mask[{"clean": [], "distorted": slice(None), "first": 0, "last": -1, "every other": slice(None, None, 2)}[kind]] = 1
    for found, part in zip(split_moments(values, mask), (values[:, mask == 0], values[:, mask == 1]), strict=True):
        count, mean, variance = direct(part)
        assert found.count == count
        if count:
            # Values of 1e6 are stored to 1e-10; squares that are not centred first would lose 1e-4 of the variance.
            np.testing.assert_allclose(found.mean, mean, rtol=1e-14, atol=1e-14)
            np.testing.assert_allclose(found.variance, variance, rtol=1e-8, atol=1e-15)
        else:
            assert (found.variance == 0).all()


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_equal_values_have_no_variance_and_never_a_negative_one(size):
    clean, distorted = split_moments(np.full((2, size), 0.1), (np.arange(size) % 3 == 1).astype(float))
    for found in (clean, distorted):
        assert (found.m2 >= 0).all() and (found.variance <= 1e-30).all()


def test_values_far_apart_merge_in_either_order():
    random = np.random.default_rng(1)
    low, high = random.normal(0.0, 1.0, (2, 5)), random.normal(1e8, 1.0, (2, 7))
    parts = [split_moments(values, np.zeros(values.shape[1]))[0] for values in (low, high)]
    count, mean, variance = direct(np.concatenate([low, high], axis=1))
    for merged in (parts[0].merged(parts[1]), parts[1].merged(parts[0])):
        assert merged.count == count
        np.testing.assert_allclose(merged.mean, mean, rtol=1e-14)
        np.testing.assert_allclose(merged.variance, variance, rtol=1e-12)


def test_no_values_change_nothing_when_merged():
    some, nothing = split_moments(np.array([[1.0, 2.0, 4.0]]), np.zeros(3))[0], Moments.none(1)
    assert some.merged(nothing) is some and nothing.merged(some) is some
    assert nothing.merged(nothing).count == 0 and nothing.variance == 0

"""Whole-picture statistics: blocks add up to a direct computation, degenerate masks are defined and finite."""

import numpy as np
import pytest

from spair.runtime.tiling.context import ContextStatistics, mask_pyramid
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

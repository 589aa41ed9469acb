"""Made masks have the density asked for, exactly, and the shape of what they are named after."""

import numpy as np
import pytest

from spair.runtime import UserError
from spair.runtime.profiling import masks as made_masks
from spair.runtime.profiling.masks import SHAPES, make_mask


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (17, 9), (120, 161)], ids=str)
@pytest.mark.parametrize("density", [0.0, 0.003, 0.02, 0.5, 0.97, 1.0])
def test_the_density_is_exact(shape, size, density):
    mask = make_mask(shape, *size, density)
    assert mask.shape == size
    assert mask.dtype == bool
    assert mask.sum() == round(density * size[0] * size[1])


@pytest.mark.parametrize("shape", ["streak", "blob"])
def test_a_nearly_full_mask_takes_no_more_steps_than_a_nearly_empty_one(shape, monkeypatch):
    counted = []
    real = np.count_nonzero
    monkeypatch.setattr(made_masks.np, "count_nonzero", lambda mask: (counted.append(1), real(mask))[1])
    sparse = make_mask(shape, 300, 400, 0.001)
    few = len(counted)
    full = make_mask(shape, 300, 400, 0.999)
    assert len(counted) == 2 * few and full.sum() == 119_880
    np.testing.assert_array_equal(full, ~sparse)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_seed_decides(shape):
    first, same, other = (make_mask(shape, 64, 80, 0.2, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


def coarse_density(mask: np.ndarray, side: int) -> float:
    height, width = mask.shape
    return float(mask.reshape(height // side, side, width // side, side).any((1, 3)).mean())


def test_shapes_differ_in_how_far_they_spread():
    """A pixel of a large form shares its 8x8 cell with others of it; streaks touch more cells, lone pixels most."""
    spread = [coarse_density(make_mask(shape, 512, 512, 0.05), 8) for shape in ("shadow", "blob", "streak", "uniform")]
    assert spread == sorted(spread)
    assert spread[0] < 0.07
    assert spread[3] > 0.9


def test_a_wrong_shape_or_density_is_refused():
    with pytest.raises(UserError, match="no mask of shape 'snow'; choose from streak, blob, shadow, uniform"):
        make_mask("snow", 8, 8, 0.5)
    with pytest.raises(UserError, match="density of a mask is 1.5, expected 0 to 1"):
        make_mask("blob", 8, 8, 1.5)

"""Tiles of a real exported network against the whole picture: no seams, whatever the sizes of tiles and blocks."""

import numpy as np
import pytest

from spair.runtime import Restorer

# Tiles sum the same products in the same order; only the merging of whole-picture statistics differs (float64).
SEAM = 2e-5


def picture(height: int, width: int) -> np.ndarray:
    """Smooth colours with bright vertical streaks, float32 0..1."""
    rng = np.random.default_rng(6)
    rows, columns = np.mgrid[0:height, 0:width] / 40.0
    smooth = 0.3 + 0.2 * np.stack([np.sin(rows), np.cos(columns), np.sin(rows + columns)], 2)
    return (smooth + 0.4 * (rng.random((1, width, 1)) < 0.1)).astype(np.float32).clip(0, 1)


@pytest.fixture(scope="module")
def untiled(tiny_bundle):
    image = picture(213, 331)
    with Restorer.open(tiny_bundle, threads=1, tile=4096) as restorer:
        result = restorer(image)
    assert result.tiles.dense + result.tiles.packed == 1
    assert 0.02 < result.density < 0.98
    return image, result


@pytest.mark.parametrize(
    ("tile", "block_pixels"), [(64, 4_000_000), (104, 4_000_000), (64, 40_000)], ids=["64", "104", "64 in blocks"]
)
def test_tiled_equals_untiled(tiny_bundle, untiled, tile, block_pixels):
    image, whole = untiled
    with Restorer.open(tiny_bundle, threads=1, tile=tile, block_pixels=block_pixels) as restorer:
        tiled = restorer(image)
    assert tiled.tiles.dense + tiled.tiles.packed + tiled.tiles.skipped > 1
    np.testing.assert_array_equal(tiled.mask, whole.mask)
    np.testing.assert_allclose(tiled.image, whole.image, atol=SEAM)


def test_statistics_of_a_tile_alone_would_leave_seams(tiny_bundle, untiled):
    """The tolerance above can fail: a part restored by itself differs by far more."""
    image, whole = untiled
    with Restorer.open(tiny_bundle, threads=1) as restorer:
        alone = restorer(image[:104, :104])
    assert np.abs(alone.image - whole.image[:104, :104]).max() > 100 * SEAM

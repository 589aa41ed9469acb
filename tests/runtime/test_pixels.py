"""Pictures come back whole whatever their height, and in every byte order."""

import numpy as np
import pytest

from spair.runtime.pixels import from_network


@pytest.mark.parametrize("height", [63, 64, 65, 600])
@pytest.mark.parametrize("density", [0.0, 0.05, 0.5, 1.0, None])
def test_strips_join_without_a_seam(height, density):
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (height, 3, 3), np.uint8)
    restored = random.random((3, height + 5, 8), np.float32)  # with padding
    mask = None if density is None else random.random((height, 3)) < density
    got = from_network(image, restored, mask)
    expected = np.floor(np.moveaxis(restored[:, :height, :3], 0, -1) * 255 + 0.5).astype(np.uint8)
    if mask is not None:
        expected[~mask] = image[~mask]
    np.testing.assert_array_equal(got, expected)

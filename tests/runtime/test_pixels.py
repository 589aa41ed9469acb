"""Pictures taller than the strips they are converted in come back whole."""

import numpy as np
import pytest

from spair.runtime.pixels import from_network


@pytest.mark.parametrize("height", [255, 256, 257, 600])
@pytest.mark.parametrize("masked", [True, False])
def test_strips_join_without_a_seam(height, masked):
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (height, 3, 3), np.uint8)
    restored = random.random((3, height + 5, 8), np.float32)  # with padding
    mask = random.random((height, 3)) < 0.5
    got = from_network(image, restored, mask if masked else None)
    expected = np.floor(np.moveaxis(restored[:, :height, :3], 0, -1) * 255 + 0.5).astype(np.uint8)
    if masked:
        expected[~mask] = image[~mask]
    np.testing.assert_array_equal(got, expected)

"""Pictures come back whole whatever their height, and in every byte order."""

import numpy as np
import pytest

from spair.runtime.pixels import from_bytes, from_network, to_bytes, to_network


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


@pytest.mark.parametrize(("dtype", "full"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1.0)])
@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_bytes_are_the_nearest_and_come_back_scaled_where_masked(dtype, full, channels):
    random = np.random.default_rng(8)
    picture = random.random((9, 7, channels or 1))
    picture = (picture * full).astype(dtype) if dtype is np.float32 else np.rint(picture * full).astype(dtype)
    picture = picture[..., 0] if channels is None else picture
    reduced = to_bytes(picture)
    colours = picture.reshape(9, 7, -1)[..., :3].astype(np.float64)
    assert (reduced.shape, reduced.dtype) == ((9, 7, 3), np.uint8)
    assert np.abs(reduced - colours * 255 / full).max() <= 0.5 + 1e-4
    restored, mask = random.integers(0, 256, (9, 7, 3), dtype=np.uint8), random.random((9, 7)) < 0.5
    result = from_bytes(picture, restored, mask)
    assert (result.shape, result.dtype) == (picture.shape, picture.dtype)
    np.testing.assert_array_equal(result[~mask], picture[~mask])
    wanted = restored.astype(np.float64) * full / 255
    found = result.reshape(9, 7, -1)
    gray = found.shape[2] == 1
    step = 1e-6 if dtype is np.float32 else 0.5 + 1e-3 * full / 255
    expected = wanted.mean(axis=2, keepdims=True) if gray else wanted
    assert np.abs(found[..., :3] - expected)[mask].max() <= step
    if dtype is np.uint8 and not gray:
        np.testing.assert_array_equal(found[..., :3][mask], restored[mask])
        np.testing.assert_array_equal(from_bytes(picture, restored, None).reshape(9, 7, -1)[..., :3], restored)
    if channels == 4:
        np.testing.assert_array_equal(found[..., 3], picture[..., 3])


def test_gray_with_alpha_is_gray_to_the_network_and_alpha_passes_through():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 2), dtype=np.uint8)
    tensor = to_network(image, 8)
    np.testing.assert_array_equal(tensor, to_network(image[..., 0], 8))
    restored = np.zeros((3, 8, 8), np.float32)
    back = from_network(image, restored, None)
    assert (back[..., 0] == 0).all() and (back[..., 1] == image[..., 1]).all()

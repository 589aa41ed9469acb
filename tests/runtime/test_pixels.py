"""Pictures come back whole whatever their height, and in every byte order."""

import numpy as np
import pytest

from spair.runtime import Restorer, UserError
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


@pytest.mark.parametrize(("kind", "full"), [("uint8", 255), ("uint16", 65535), ("float32", None)])
@pytest.mark.parametrize("network", ["two stages", "foreign"])
def test_the_byte_order_of_a_picture_changes_nothing(bundles, kind, full, network):
    bundle = bundles.spair() if network == "two stages" else bundles.other()
    picture = np.random.default_rng(0).random((37, 53, 3), np.float32)
    if full:
        picture = np.rint(picture * full).astype(kind)
    with Restorer.open(bundle.path, threads=1) as restorer:
        expected = restorer(picture).image
        for order in "<>":
            result = restorer(picture.astype(picture.dtype.newbyteorder(order))).image
            np.testing.assert_array_equal(result, expected)
            assert result.dtype == picture.dtype and result.dtype.isnative
    assert (expected != picture).any()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (np.nan, "f4", "finite floats in 0..1"),
        (255, "f4", "from 255 to 255"),
        (0, "f2", "dtype float16, expected uint8, uint16 or float32"),
        (0, "u4", "dtype uint32, expected"),
    ],
)
def test_bad_pictures_are_refused_in_either_byte_order(bundles, order, value, kind, message):
    with Restorer.open(bundles.spair().path, threads=1) as restorer, pytest.raises(UserError, match=message):
        restorer(np.full((4, 4, 3), value, order + kind))

"""Pictures have pixels of a known layout in native byte order."""

import numpy as np
import pytest

from spair.runtime import Picture


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 5), (0, 4, 3)])
def test_pictures_check_their_pixels(shape):
    with pytest.raises(ValueError, match=r"a picture is HxWx1"):
        Picture(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("kind", ["f8", "i2", "u4", "?"])
def test_pixels_of_other_types_are_refused_by_name(kind):
    with pytest.raises(ValueError, match=f"of uint8, uint16, float32, not .* {np.dtype(kind).name}"):
        Picture(np.zeros((4, 4, 3), kind))


@pytest.mark.parametrize("kind", ["u2", "f4"])
@pytest.mark.parametrize("order", "<>")
def test_pixels_of_either_byte_order_are_kept_as_native_values(kind, order):
    values = np.arange(1 * 5 * 3).reshape(1, 5, 3).astype(order + kind)
    kept = Picture(values).pixels
    assert kept.dtype.isnative and kept.dtype == np.dtype(kind)
    np.testing.assert_array_equal(kept, values)


@pytest.mark.parametrize(("channels", "alpha"), [(1, False), (2, True), (3, False), (4, True)])
def test_sides_and_alpha_follow_from_the_shape(channels, alpha):
    picture = Picture(np.zeros((2, 7, channels), np.uint8))
    assert (picture.height, picture.width, picture.has_alpha) == (2, 7, alpha)

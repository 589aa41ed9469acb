"""Arrays of either byte order are worth the same."""

import numpy as np
import pytest

from spair.runtime import Restorer, UserError
from spair.runtime.arrays import make_native


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


@pytest.mark.parametrize("kind", ["u1", "?", "i8", "f4", "c8"])
@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (5, 7)], ids=str)
def test_an_array_of_the_machines_order_is_the_very_array(kind, shape):
    array = np.ones(shape, kind)
    assert make_native(array) is array


@pytest.mark.parametrize("kind", ["u2", "i8", "f4", "c8"])
@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (5, 7)], ids=str)
def test_swapped_bytes_become_the_same_values_of_the_native_type(kind, shape):
    values = (np.arange(np.prod(shape, dtype=int)) + 258).astype(kind).reshape(shape)
    swapped = values.astype(values.dtype.newbyteorder())
    assert swapped.dtype != values.dtype, "otherwise there would be nothing to do"
    native = make_native(swapped)
    assert native.dtype == values.dtype and native.dtype.isnative
    np.testing.assert_array_equal(native, values)


def test_views_keep_their_values_and_leave_their_source_alone():
    source = np.arange(24, dtype=">u2").reshape(4, 6)
    before = source.tobytes()
    np.testing.assert_array_equal(make_native(source[::-2, 1::3]), [[19, 22], [7, 10]])
    assert source.tobytes() == before

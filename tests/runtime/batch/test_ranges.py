"""Float pictures in ranges other than 0..1."""

import numpy as np
import pytest

from spair.runtime import UserError
from spair.runtime.batch.ranges import from_unit, to_unit


def test_alpha_and_integers_stay():
    pixels = np.array([[[-1.0, 0.0, 1.0, 7.0]]], np.float32)
    assert to_unit(pixels, (-1.0, 1.0), "a").tolist() == [[[0.0, 0.5, 1.0, 7.0]]]
    integers = np.zeros((1, 1, 3), np.uint8)
    assert to_unit(integers, (-1.0, 1.0), "a") is integers


def test_samples_that_were_not_restored_come_back_bit_for_bit():
    pixels = np.random.default_rng(0).uniform(-5, 900, (9, 9, 3)).astype(np.float32)
    scaled = to_unit(pixels, (-5.0, 900.0), "a")
    restored = scaled.copy()
    restored[0] = 0.5
    back = from_unit(restored, scaled, pixels, (-5.0, 900.0))
    np.testing.assert_array_equal(back[1:], pixels[1:])
    np.testing.assert_allclose(back[0], 447.5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([-0.1, 1.4], r"run from -0.1 to 1.4, expected 0 to 1; .* --range -0.1:1.4"),
        ([4287.5, 9762.5], "--range 0:9800"),
        ([0.0, 254.0], "--range 0:255"),
        ([0.5, np.nan], "NaN or infinite"),
    ],
)
def test_values_outside_are_refused_with_a_range_that_would_do(values, message):
    with pytest.raises(UserError, match=f"cannot restore a.tif: .*{message}"):
        to_unit(np.array(values, np.float32).reshape(1, 2, 1), None, "a.tif")

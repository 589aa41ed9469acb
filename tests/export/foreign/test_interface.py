"""Descriptions of networks are checked before anything is built."""

import pytest

from spair.export.foreign import ForeignInterface
from spair.runtime import UserError


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"inputs": (("x", 3), ("x", 1))}, "distinct names"),
        ({"multiple": 0}, "1 or more"),
        ({"min_size": 0}, "1 or more"),
        ({"inputs": (("x", 0),)}, "1 or more"),
        ({"inputs": (("x", 6),)}, "'x' has 6 channels, expected 3 .RGB. or 1 .gray."),
        ({"inputs": (("x", 4),)}, "'x' has 4 channels"),
        ({"inputs": (("x", 3), ("noise", 1))}, "takes x, noise, .* --side-input noise="),
        ({"sides": (("image", 1.0),)}, "'image' is the picture, which has no constant value"),
        ({"output_range": "0..9"}, "'0..9', expected one of 0..1, -1..1, 0..255"),
        ({"colour": "red"}, "'red', expected one of channels, luma"),
        ({"multiple": 8, "sizes": ((64, 60),)}, "64x60 is no multiple of 8 pixels"),
        ({"sizes": ((0, 8),)}, "0x8 is no multiple"),
    ],
)
def test_an_interface_that_restores_no_picture_is_refused(fields, message):
    with pytest.raises(UserError, match=message) as caught:
        ForeignInterface(**fields)
    assert "\n" not in str(caught.value)

"""Samples keep their sampling and depth wherever the encoder takes them."""

import pytest

from spair.runtime import UserError
from spair.runtime.video.formats import choose_format, list_losses, parse_format

X264 = ("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "gray", "nv12")
FEW = ("yuv420p", "yuv420p10le")


@pytest.mark.parametrize(
    ("name", "depth", "rgb", "alpha", "taken", "kept", "losses"),
    [
        ("yuv420p", 8, False, False, X264, "yuv420p", []),
        ("yuvj420p", 8, False, False, X264, "yuvj420p", []),
        ("yuvj420p", 8, False, False, FEW, "yuv420p", []),
        ("yuv422p10le", 10, False, False, X264, "yuv422p10le", []),
        ("yuv422p10le", 10, False, False, FEW, "yuv420p10le", ["sampling 422"]),
        ("yuv444p12le", 12, False, False, X264, "yuv444p10le", ["2 of 12 bits"]),
        ("yuv420p9le", 9, False, False, X264, "yuv420p10le", []),
        ("yuva420p", 8, False, True, X264, "yuv420p", ["alpha"]),
        ("gray", 8, False, False, X264, "yuv420p", []),
        ("gray10le", 10, False, False, X264, "yuv420p10le", []),
        ("gbrp", 8, True, False, X264, "yuv444p", ["RGB"]),
        ("pal8", 8, True, True, FEW, "yuv420p", ["alpha", "RGB"]),
        ("yuyv422", 8, False, False, X264, "yuv422p", []),
        ("yuv411p", 8, False, False, X264, "yuv422p", []),
        ("yuv440p", 8, False, False, X264, "yuv444p", []),
    ],
)
def test_the_nearest_format_is_kept_and_losses_are_named(name, depth, rgb, alpha, taken, kept, losses):
    found = parse_format(name, depth, rgb, alpha)
    assert choose_format(found, taken, "encoder") == kept
    assert list_losses(found, kept) == losses


def test_an_encoder_of_other_formats_alone_is_refused():
    with pytest.raises(UserError, match="the encoder x takes no format"):
        choose_format(parse_format("yuv420p", 8, False, False), ("nv12", "cuda"), "x")

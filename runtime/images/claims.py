"""Bounds on pictures, by what their headers say."""

from __future__ import annotations

from typing import Any

from ..bounds.memory import require_memory
from ..errors import UserError

MAX_PIXELS = 500_000_000
"""Pixels of the largest picture read by default; a header that claims more is probably damaged or hostile."""
MOST_SAMPLES = 16
"""Bytes of the widest pixel, which has four float samples; the cap on pixels is one on this many bytes for each."""

_MOST_BANDS = 5
"""Largest number of channels of a picture that is decoded; CMYK with alpha has five."""
_DEPTHS = {"uchar": 1, "char": 1, "ushort": 2, "short": 2, "uint": 4, "int": 4, "float": 4, "double": 8}
"""Bytes of a sample by libvips' name; complex samples are missing, since no picture has them."""
_COPIES = 2
"""Decoded pictures in memory at a time: libvips' and the array's."""


class LargePictureError(UserError):
    """Picture with more pixels than the caller takes."""

    http_status = 413


def check_bounds(image: Any, name: str, max_pixels: int) -> None:
    """Refuse a picture by its header, before it is decoded.

    Args:
        image: libvips' picture.
        name: words that messages call it by.
        max_pixels: largest number of pixels.

    Raises:
        LargePictureError: it has more pixels, or more than `MOST_SAMPLES` bytes for each of them.
        UserError: it has too many channels, or complex samples.
        MemoryShortError: decoding it needs more memory than is free.
    """
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise LargePictureError(
            f"cannot read {name}: {image.width}x{image.height} is more than {max_pixels} pixels; cut it into parts, or "
            "raise the limit where there is --max-pixels"
        )
    if image.bands > _MOST_BANDS:
        raise UserError(say_channels(image.bands, name))
    if image.format not in _DEPTHS:
        raise UserError(say_samples(image.format, name))
    decoded = pixels * image.bands * _DEPTHS[image.format]
    if decoded > max_pixels * MOST_SAMPLES:
        raise LargePictureError(
            f"cannot read {name}: decoded it has {decoded} bytes, more than {MOST_SAMPLES} for each of {max_pixels} "
            "pixels; convert it to 16 bit, or raise the limit where there is --max-pixels"
        )
    require_memory(
        _COPIES * decoded, f"reading {name} ({image.width}x{image.height} pixels)", "cut it into parts, or free memory"
    )


def say_channels(bands: int, name: str) -> str:
    """Say that a picture has too many channels."""
    return (
        f"cannot use {name}: it has {bands} channels, expected 1 (gray) or 3 (RGB), either with alpha; "
        "convert it to one of these first"
    )


def say_samples(kind: str, name: str) -> str:
    """Say that a picture has samples of another kind."""
    return f"cannot use {name}: its samples are {kind}, expected unsigned 8 or 16 bit, or float"

"""Reader of picture files, by libvips.

Pictures come upright, in RGB or gray, and a damaged file is refused.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from .picture import Picture

MAX_PIXELS = 500_000_000
"""Pixels of the largest picture read by default; a header that claims more is probably damaged or hostile."""

_LOADERS = ("png", "jpeg", "webp", "tiff", "gif", "heif")  # raster formats only: no SVG, PDF or raw matrices
_READABLE = "PNG, JPEG, WebP, TIFF, GIF or AVIF"
_TYPES = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32, "double": np.float32}
_KEPT_SPACES = ("srgb", "rgb", "rgb16", "b-w", "grey16", "scrgb", "multiband")

MM_PER_INCH = 25.4
"""Millimetres per inch: files count pixels per inch, libvips counts pixels per millimetre."""


def read_image(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read a picture file.

    Args:
        path: PNG, JPEG, WebP, TIFF, GIF or AVIF; the content decides, not the suffix.
        max_pixels: largest number of pixels; a larger picture is refused before its pixels are decoded.

    Returns:
        The picture turned upright by its EXIF orientation: [H, W, C] with C = 1 (gray), 3 (RGB) or 4 (RGBA);
        uint8, uint16 or float32 as stored (1-bit and palette pictures become uint8). RGB and gray keep their
        ICC profile; CMYK, Lab and other spaces are converted to sRGB.

    Raises:
        UserError: the file does not exist, is empty, damaged or truncated, or is not a picture; the picture has two
            channels (gray and alpha) or more than four, signed or complex samples, more than `max_pixels`, or several
            pages or frames.
    """
    source = _check_file(Path(path))
    image = _to_rgb_or_gray(_decode(source, max_pixels), source)
    if image.bands not in (1, 3, 4):
        raise UserError(
            f"cannot use {source}: it has {image.bands} channels, expected 1 (gray), 3 (RGB) or 4 (RGBA); "
            "convert it to one of these first"
        )
    if image.format not in _TYPES:
        raise UserError(f"cannot use {source}: its samples are {image.format}, expected unsigned 8 or 16 bit, or float")
    pixels = np.asarray(image.numpy(), dtype=_TYPES[image.format])
    return Picture(pixels.reshape(image.height, image.width, image.bands), **_metadata(image))


def load_pyvips() -> Any:
    """Import pyvips.

    Raises:
        UserError: pyvips or libvips is not installed; the message says how to install them.
    """
    try:
        import pyvips
    except (ImportError, OSError) as error:
        raise UserError(
            f"picture files need pyvips with libvips ({error}); install it with: pip install 'pyvips[binary]'"
        ) from error
    return pyvips


def first_reason(error: Exception) -> str:
    """Return the last non-empty line of a libvips error.

    It is the message of the decoder itself.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _check_file(path: Path) -> Path:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UserError(f"cannot read {path}: it {what}; give the path of a picture file")
    try:
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check its permissions") from error
    if size == 0:
        raise UserError(f"cannot read {path}: the file is empty (0 bytes); give a complete {_READABLE} file")
    return path


def _decode(path: Path, max_pixels: int) -> Any:
    """Decode a file into memory and turn it upright.

    The picture is decoded at once, because libvips would otherwise report damage long after this call.
    """
    vips = load_pyvips()
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"cannot read {os.fspath(path)!a}: its name is not UTF-8; rename the file") from error
    try:
        # A Source takes the name literally: vips would read options out of "photo.png[page=2]".
        source = vips.Source.new_from_file(os.fspath(path))
        image = vips.Image.new_from_source(source, "", access="sequential", fail_on="error")
    except vips.Error as error:
        unknown = "known format" in str(error)
        reason = "it is not a picture" if unknown else f"the file is damaged or truncated ({first_reason(error)})"
        raise UserError(f"cannot read {path}: {reason}; give a complete {_READABLE} file") from error
    loader = image.get("vips-loader")
    if not loader.startswith(_LOADERS):
        raise UserError(f"cannot read {path}: files of {loader.split('load')[0]} are not supported; give {_READABLE}")
    pages = image.get("n-pages") if image.get_typeof("n-pages") else 1
    if pages > 1:
        raise UserError(f"cannot read {path}: it holds {pages} pages or frames; split it into one file each")
    if image.width * image.height > max_pixels:
        raise UserError(
            f"cannot read {path}: {image.width}x{image.height} is more than {max_pixels} pixels; cut it into parts"
        )
    try:
        return image.copy_memory().autorot()
    except vips.Error as error:
        raise UserError(
            f"cannot read {path}: the file is damaged or truncated ({first_reason(error)}); "
            f"give a complete {_READABLE} file"
        ) from error


def _to_rgb_or_gray(image: Any, path: Path) -> Any:
    if image.interpretation in _KEPT_SPACES:
        return image
    vips = load_pyvips()
    try:
        if image.interpretation == "cmyk":  # replaces the CMYK profile by sRGB's
            return image.icc_transform("srgb", embedded=True, input_profile="cmyk")
        converted = image.colourspace("srgb").copy()
    except vips.Error as error:
        raise UserError(
            f"cannot read {path}: its colours ({image.interpretation}) do not convert to sRGB "
            f"({first_reason(error)}); convert it to RGB first"
        ) from error
    if converted.get_typeof("icc-profile-data"):
        converted.remove("icc-profile-data")  # it described the old space
    return converted


def _metadata(image: Any) -> dict[str, Any]:
    """Return ICC, EXIF and resolution as arguments of `Picture`."""
    has = image.get_typeof
    known = (image.xres, image.yres) != (1.0, 1.0)  # libvips says 1 pixel per mm if a file names no resolution
    return {
        "icc": bytes(image.get("icc-profile-data")) if has("icc-profile-data") else None,
        "exif": bytes(image.get("exif-data")) if has("exif-data") else None,
        "dpi": (image.xres * MM_PER_INCH, image.yres * MM_PER_INCH) if known else None,
    }

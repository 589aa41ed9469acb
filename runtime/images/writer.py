"""Writer of picture files, by libvips.

Files are lossless where the format allows it, and are written completely or not at all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..files import write_atomically
from .containers import write_extras
from .picture import Picture
from .reader import MM_PER_INCH, first_reason, load_pyvips

_VIPS_TYPES = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}
_SPACES = {
    ("uint8", True): "b-w",
    ("uint8", False): "srgb",
    ("uint16", True): "grey16",
    ("uint16", False): "rgb16",
    ("float32", True): "b-w",
    ("float32", False): "scrgb",  # the name of float RGB in libvips; the samples are written as they are
}


_WITHOUT_EXIF = ("TIFF",)
_WITHOUT_RESOLUTION = ("WebP",)
"""Names of formats that libvips writes without these."""
_ORIENTATION = re.compile(rb"(tiff:Orientation(?:=[\"']|>))[2-8]([\"'<])")
"""Orientation in an XMP packet, which belongs to the file that was read."""


@dataclass(frozen=True)
class FileFormat:
    """File format with the pixels that it can hold."""

    name: str
    suffixes: tuple[str, ...]
    types: tuple[str, ...]
    """Names of the pixel types that the format holds without loss of range or precision."""
    alpha: bool
    """Whether the format holds an alpha channel."""
    options: Mapping[str, Any]
    """Options of the libvips saver by name."""


FORMATS = (
    FileFormat("PNG", (".png",), ("uint8", "uint16"), True, {"compression": 6}),
    # 4:4:4: chroma subsampling would blur the very streaks that were just repaired.
    FileFormat("JPEG", (".jpg", ".jpeg", ".jfif", ".jpe"), ("uint8",), False, {"Q": 95, "subsample_mode": "off"}),
    FileFormat("WebP", (".webp",), ("uint8",), True, {"lossless": True, "exact": True}),
    FileFormat("TIFF", (".tif", ".tiff"), ("uint8", "uint16", "float32"), True, {"compression": "deflate"}),
)


def writable_suffixes() -> tuple[str, ...]:
    """Return the suffixes that `write_image` knows.

    They are in lower case and begin with a dot.
    """
    return tuple(suffix for form in FORMATS for suffix in form.suffixes)


def write_image(path: str | os.PathLike[str], picture: Picture, *, quality: int | None = None) -> None:
    """Write a picture in the format of the path's suffix.

    A failure leaves an existing file unchanged. PNG, WebP and TIFF are lossless; JPEG is quality 95, 4:4:4. The ICC
    profile is kept byte for byte, EXIF is kept with its orientation reset and without its thumbnail, which would still
    show the old picture (TIFF files get no EXIF, because libvips does not write it). WebP has no gray, so gray reads
    back as RGB.

    Args:
        path: file to write; its folder exists.
        picture: the picture.
        quality: 1 to 100 for JPEG, and for WebP, which is then lossy; None for the default.

    Raises:
        UserError: the suffix is unknown; the format cannot hold the pixels (16 bit or float in JPEG, alpha in JPEG,
            float in any format but TIFF); the folder does not exist or cannot be written.
    """
    target = Path(path)
    form = find_format_of(target.suffix)
    if form is None:
        known = ", ".join(writable_suffixes())
        raise UserError(f"cannot write {target}: unknown suffix '{target.suffix}', expected one of {known}")
    write_atomically(target, _encode(form, picture, str(target), quality))


def encode_image(
    picture: Picture, format: str = "PNG", *, name: str = "the picture", quality: int | None = None
) -> bytes:
    """Make the bytes of a picture file.

    The rules are those of `write_image`.

    Args:
        picture: the picture.
        format: name of one of `FORMATS`.
        name: words that messages call the picture by.
        quality: 1 to 100, see `write_image`; None for the default.

    Raises:
        UserError: see `check_encodable`.
    """
    return _encode(_find_format(format, name), picture, name, quality)


def check_encodable(picture: Picture, format: str, *, name: str = "the picture") -> None:
    """Refuse a picture that `encode_image` would refuse.

    Raises:
        UserError: the format is unknown or cannot hold the pixels; see `write_image`.
    """
    _check_fit(_find_format(format, name), picture, name)


def find_format_of(suffix: str) -> FileFormat | None:
    """Find the format of a suffix, such as ".JPG".

    None if it is not written.
    """
    return next((form for form in FORMATS if suffix.lower() in form.suffixes), None)


def _find_format(format: str, name: str) -> FileFormat:
    form = next((form for form in FORMATS if form.name == format), None)
    if form is None:
        known = ", ".join(form.name for form in FORMATS)
        raise UserError(f"cannot write {name} as {format}: that format is not written, expected one of {known}")
    return form


def _encode(form: FileFormat, picture: Picture, name: str, quality: int | None = None) -> bytes:
    _check_fit(form, picture, name)
    vips = load_pyvips()
    options = dict(form.options)
    if quality is not None and form.name == "JPEG":
        options["Q"] = quality
    if quality is not None and form.name == "WebP":
        options = {"Q": quality}
    if form.name == "TIFF":
        options["predictor"] = "float" if picture.pixels.dtype == np.float32 else "horizontal"
    # libvips writes the resolution of a JPEG into EXIF, so a picture with neither gets no EXIF.
    wants_exif = picture.exif is not None or (picture.dpi is not None and form.name == "JPEG")
    keep = vips.ForeignKeep.ICC | (vips.ForeignKeep.EXIF if wants_exif else vips.ForeignKeep.NONE)
    keep |= vips.ForeignKeep.NONE if picture.xmp is None else vips.ForeignKeep.XMP
    try:
        encoded = bytes(_to_vips(vips, picture).write_to_buffer(form.suffixes[0], keep=keep, **options))
    except vips.Error as error:
        raise UserError(f"cannot write {name} as {form.name}: {first_reason(error)}; try another format") from error
    return write_extras(encoded, form.name, picture.extras, keep_resolution=picture.dpi is not None)


def list_dropped(picture: Picture, format: str) -> list[str]:
    """Name the metadata that a format does not keep."""
    exif = ["EXIF"] if picture.exif is not None and format in _WITHOUT_EXIF else []
    resolution = ["resolution"] if picture.dpi is not None and format in _WITHOUT_RESOLUTION else []
    return [*exif, *resolution, *picture.extras.list_dropped(format)]


def _check_fit(form: FileFormat, picture: Picture, name: str) -> None:
    kind = picture.pixels.dtype.name
    if kind not in form.types:
        able = " or ".join(other.name for other in FORMATS if kind in other.types)
        raise UserError(f"cannot write {name}: {form.name} does not hold {kind} pixels; write {able} instead")
    if picture.has_alpha and not form.alpha:
        able = " or ".join(other.name for other in FORMATS if other.alpha and kind in other.types)
        raise UserError(f"cannot write {name}: {form.name} has no alpha channel; write {able} instead")


def _to_vips(vips: Any, picture: Picture) -> Any:
    pixels = np.ascontiguousarray(picture.pixels)
    kind = pixels.dtype.name
    height, width, bands = pixels.shape
    raw = vips.Image.new_from_memory(pixels.data, width, height, bands, _VIPS_TYPES[kind])
    x_dpi, y_dpi = picture.dpi or (72.0, 72.0)
    image = raw.copy(interpretation=_SPACES[kind, bands <= 2], xres=x_dpi / MM_PER_INCH, yres=y_dpi / MM_PER_INCH)
    if picture.icc is not None:
        image.set_type(vips.GValue.blob_type, "icc-profile-data", picture.icc)
    if picture.xmp is not None:
        upright = _ORIENTATION.sub(rb"\g<1>1\g<2>", picture.xmp)
        image.set_type(vips.GValue.blob_type, "xmp-data", upright)
    if picture.exif is not None:
        _attach_exif(vips, image, picture.exif)
    return image


def _attach_exif(vips: Any, image: Any, block: bytes) -> None:
    image.set_type(vips.GValue.blob_type, "exif-data", block)  # libvips parses the block into fields here
    # Orientation and thumbnail in the block belong to the file that was read; the fields below replace them.
    image.set_type(vips.GValue.gint_type, "orientation", 1)
    if image.get_typeof("jpeg-thumbnail-data"):
        image.remove("jpeg-thumbnail-data")

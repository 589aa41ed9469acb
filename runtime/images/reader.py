"""Reader of picture files, by libvips.

Pictures come upright, in RGB or gray, and a damaged file is refused.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ..errors import UserError
from .claims import MAX_PIXELS, check_bounds, say_channels, say_samples
from .containers import CONTAINERS, Extras, read_extras
from .kinds import Kind, read_kind
from .picture import Picture

LOADERS = {
    "png": "PNG",
    "jpeg": "JPEG",
    "webp": "WebP",
    "tiff": "TIFF",
    "gif": "GIF",
    "heif": "AVIF",
    "jxl": "JPEG XL",
    "jp2k": "JPEG 2000",
    "ppm": "PNM",
}
"""Names of formats by the beginnings of libvips' loaders; raster formats only, no SVG, PDF or raw matrices.

The last three need a libvips that was built with them, and so does HEIC, which the loader of AVIF reads.
"""
_TO_STRING = "_to_string"
"""Name of pyvips' function for texts of libvips, which its modules have each."""
_READABLE = "PNG, JPEG, WebP, TIFF, GIF or AVIF"
_TYPES = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32, "double": np.float32}
_KEPT_SPACES = ("srgb", "rgb", "rgb16", "b-w", "grey16", "scrgb", "multiband")

MM_PER_INCH = 25.4
"""Millimetres per inch: files count pixels per inch, libvips counts pixels per millimetre."""

_MEMORY_WORDS = ("out of memory", "unable to allocate", "failed to allocate", "cannot allocate", "insufficient memory")
"""Words of libvips and its decoders when memory runs out."""
_UNSUPPORTED = re.compile(r"bad labq|not supported|unsupported|unimplemented|not implemented|no codec|precision", re.I)
"""Words of decoders about whole files that they do not read."""
_UNTOLD = re.compile(r"^unable to |known (file )?format$|^load error$")
"""Words of libvips that say nothing of a file whose format is known."""
_OPERATION = re.compile(r"^(\w*vips\w*|\w+(load|save)(_\w+)?|heif|webp|image): |\s*\(\d+\.\d+\)$", re.I)
"""Names of operations of libvips before its errors, and numbers of libheif behind them."""
_TRUNCATED = re.compile(r"premature end")
_LOST = re.compile(r"premature end|corrupt jpeg|huffman|marker|restart|progression|too much data", re.I)
"""Words of libjpeg about data that it left out or made up."""


def read_image(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS, accept_damaged: bool = False) -> Picture:
    """Read a picture file.

    Args:
        path: PNG, JPEG, WebP, TIFF, GIF or AVIF; the content decides, not the suffix.
        max_pixels: largest number of pixels; a larger picture is refused before its pixels are decoded.
        accept_damaged: take a JPEG of which the decoder says that bytes are lost; it is refused otherwise.

    Returns:
        The picture turned upright by its EXIF orientation: [H, W, C] with C = 1 (gray), 2 (gray and alpha), 3 (RGB) or
        4 (RGBA);
        uint8, uint16 or float32 as stored (1-bit and palette pictures become uint8). RGB and gray keep their
        ICC profile; CMYK, Lab and other spaces are converted to sRGB.

    Raises:
        UserError: the file does not exist, is empty, damaged or truncated, is not a picture, or of a kind that is not
            read; the picture has more than four channels, signed or complex samples, or several pages or frames.
            Thumbnails of a TIFF are no pages.
        LargePictureError: it has more than `max_pixels`, or more than `MOST_SAMPLES` bytes for each of them.
        MemoryShortError: decoding it needs more memory than is free.
        MemoryError: memory ran out all the same.
    """
    file = _check_file(Path(path))
    vips = load_pyvips()
    try:
        with file.open("rb") as stream:
            # A Source takes the name literally: vips would read options out of "photo.png[page=2]".
            if _is_utf8(file):
                return _read(
                    lambda: vips.Source.new_from_file(os.fspath(file)), stream, str(file), max_pixels, accept_damaged
                )
            return _read(
                lambda: vips.Source.new_from_descriptor(stream.fileno()), stream, str(file), max_pixels, accept_damaged
            )
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; check its permissions") from error


def decode_image(data: bytes, *, name: str = "the picture", max_pixels: int = MAX_PIXELS) -> Picture:
    """Read a picture file that is in memory.

    Args:
        data: bytes of the file; see `read_image`.
        name: words that messages call it by.
        max_pixels: see `read_image`.

    Returns:
        The picture; see `read_image`.

    Raises:
        UserError, LargePictureError: see `read_image`.
    """
    _check_size(len(data), name)
    vips = load_pyvips()
    return _read(lambda: vips.Source.new_from_memory(data), io.BytesIO(data), name, max_pixels, False)


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
    _take_any_text(pyvips)
    return pyvips


@cache
def _take_any_text(vips: Any) -> None:
    """Let pyvips take texts that are not UTF-8.

    Errors and warnings of decoders may quote bytes of a damaged file. In place of its own error pyvips would raise
    UnicodeDecodeError then, and keep the text for the next error, which is about another file.
    """

    def to_string(text: Any) -> str:
        found = "NULL" if text == vips.ffi.NULL else vips.ffi.string(text)
        return found.decode("utf-8", "replace") if isinstance(found, bytes) else found

    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "pyvips" and hasattr(module, _TO_STRING):
            setattr(module, _TO_STRING, to_string)


def first_reason(error: Exception) -> str:
    """Return the last non-empty line of a libvips error.

    It is the message of the decoder itself, without the name of the operation, or says that there is none.
    """
    lines = [_OPERATION.sub("", line.strip()).strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not _UNTOLD.search(line)]
    return told[-1] if told else "the decoder gives no reason"


def _check_file(path: Path) -> Path:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is no regular file" if path.exists() else "does not exist"
        raise UserError(f"cannot read {path}: it {what}; give the path of a picture file")
    _check_size(path.stat().st_size, str(path))
    return path


def _is_utf8(path: Path) -> bool:
    """Tell whether libvips takes the name of a file."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_size(size: int, name: str) -> None:
    if size == 0:
        raise UserError(f"cannot read {name}: the file is empty (0 bytes); give a complete {_READABLE} file")


def _read(
    open_source: Callable[[], Any], stream: BinaryIO, name: str, max_pixels: int, accept_damaged: bool
) -> Picture:
    kind = read_kind(stream)
    extras = read_extras(stream, kind.name if kind else "")
    job = _Decoding(open_source, stream, kind, name, max_pixels, extras.frames)
    try:
        decoded, form = _decode(job, _choose_level(kind, accept_damaged))
    except _HarmlessError:
        decoded, form = _decode(job, "error")
    image = _to_rgb_or_gray(decoded, name)
    if image.bands not in (1, 2, 3, 4):
        raise UserError(say_channels(image.bands, name))
    if image.format not in _TYPES:
        raise UserError(say_samples(image.format, name))
    try:
        pixels = np.asarray(image.numpy(), dtype=_TYPES[image.format])
        metadata = _metadata(image, extras)
    except load_pyvips().Error as error:  # a profile or a block of metadata may be damaged too
        raise _refuse(error, job) from error
    shaped = pixels.reshape(image.height, image.width, image.bands)
    return Picture(shaped, format=form, extras=extras, **metadata)


class _HarmlessError(Exception):
    """Warning of a decoder that lost no bytes."""


class _Decoding(NamedTuple):
    """File to decode."""

    open_source: Callable[[], Any]
    stream: BinaryIO
    kind: Kind | None
    name: str
    """Words that messages call the file by."""
    max_pixels: int
    frames: int
    """Number of pictures in it, as its metadata says."""


def _choose_level(kind: Kind | None, accept_damaged: bool) -> str:
    """Choose at what a decoder stops.

    The one of JPEG only warns of bytes that it had to leave out. Others warn of things that do no harm.
    """
    if accept_damaged:
        return "none"
    return "warning" if kind is not None and kind.name == "JPEG" else "error"


def _decode(job: _Decoding, level: str) -> tuple[Any, str]:
    """Decode a file into memory and turn it upright.

    It is decoded at once, because libvips would otherwise report damage long after this call.

    Returns:
        The picture and the name of its format.
    """
    vips = load_pyvips()
    job.stream.seek(0)  # a source on a descriptor reads from there
    try:
        image = vips.Image.new_from_source(job.open_source(), "", access="sequential", fail_on=level)
    except vips.Error as error:
        raise _refuse(error, job) from error
    form = _check_claims(image, job)
    try:
        return image.copy_memory().autorot(), form
    except vips.Error as error:
        if _is_short_of_memory(error):
            raise _refuse(error, job) from error
        if level == "warning" and not _LOST.search(str(error)):
            raise _HarmlessError from error
        if level == "warning" and not _TRUNCATED.search(str(error)):
            raise UserError(
                f"cannot read {job.name}: bytes of it are lost ({first_reason(error)}); copy it again, or take it "
                "as it is with --accept-damaged"
            ) from error
        raise _refuse(error, job) from error


def _check_claims(image: Any, job: _Decoding) -> str:
    """Check what a file says of itself.

    Returns:
        The name of its format.
    """
    loader, name = image.get("vips-loader"), job.name
    form = next((form for start, form in LOADERS.items() if loader.startswith(start)), None)
    if form is None:
        raise UserError(f"cannot read {name}: files of {loader.split('load')[0]} are not supported; give {_READABLE}")
    pages = image.get("n-pages") if image.get_typeof("n-pages") else 1
    if form == "PNG" or (form == "TIFF" and pages > 1):  # libvips counts thumbnails, and one frame of a PNG
        pages = job.frames
    if pages > 1:
        raise UserError(f"cannot read {name}: it holds {pages} pages or frames; split it into one file each")
    check_bounds(image, name, job.max_pixels)
    return form


def _is_short_of_memory(error: Exception) -> bool:
    return any(words in str(error).lower() for words in _MEMORY_WORDS)


def _refuse(error: Exception, job: _Decoding) -> Exception:
    """Turn an error of libvips into one of ours.

    Running out of memory is no damage.
    """
    if _is_short_of_memory(error):
        return MemoryError(f"cannot read {job.name}: {first_reason(error)}")
    return UserError(f"cannot read {job.name}: {_explain(error, job.kind)}")


def _explain(error: Exception, kind: Kind | None) -> str:
    """Say why libvips does not read a file.

    Damage is only said of what it could read otherwise.
    """
    reason = first_reason(error)
    if kind is None:
        return f"it is not a picture; give a complete {_READABLE} file"
    if not kind.readable:
        return f"it is a picture of the kind {kind.name}, which this installation does not read; convert it to PNG"
    if _UNSUPPORTED.search(reason):
        return f"this form of {kind.name} is not supported ({reason}); convert it to RGB or gray of 8 or 16 bits"
    return f"the file is damaged or truncated ({reason}); give a complete {_READABLE} file"


def _to_rgb_or_gray(image: Any, name: str) -> Any:
    if image.interpretation in _KEPT_SPACES:
        return image
    vips = load_pyvips()
    try:
        if image.interpretation == "cmyk":  # replaces the CMYK profile by sRGB's
            return image.icc_transform("srgb", embedded=True, input_profile="cmyk")
        converted = image.colourspace("srgb").copy()
    except vips.Error as error:
        raise UserError(
            f"cannot read {name}: its colours ({image.interpretation}) do not convert to sRGB "
            f"({first_reason(error)}); convert it to RGB first"
        ) from error
    if converted.get_typeof("icc-profile-data"):
        converted.remove("icc-profile-data")  # it described the old space
    return converted


def _metadata(image: Any, extras: Extras) -> dict[str, Any]:
    """Return ICC, EXIF and resolution as arguments of `Picture`."""
    has = image.get_typeof
    # libvips says 72 per inch, older ones 1 per mm, if a file names no resolution. Other formats have it in EXIF alone.
    known = extras.has_resolution or (extras.format not in CONTAINERS and has("exif-data"))
    return {
        "icc": bytes(image.get("icc-profile-data")) if has("icc-profile-data") else None,
        "xmp": bytes(image.get("xmp-data")) if has("xmp-data") else None,
        "exif": bytes(image.get("exif-data")) if has("exif-data") else None,
        "dpi": (image.xres * MM_PER_INCH, image.yres * MM_PER_INCH) if known else None,
    }

"""Recognition of picture files by their content.

It finds pictures under any suffix, and names those that this installation cannot read.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, NamedTuple

HEAD = 64
"""Bytes at the beginning of a file by which its kind is known."""


class Kind(NamedTuple):
    """Kind of picture file."""

    name: str
    """Name that people use, such as "HEIC"."""
    readable: bool
    """Whether `read_image` takes files of this kind."""


_READABLE = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_OTHERS = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"8BPS", "Photoshop"),
    (b"gimp xcf", "GIMP"),
    (b"qoif", "QOI"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"#?RGBE", "Radiance HDR"),
    (b"v/1\x01", "OpenEXR"),
    (b"DDS ", "DDS"),
    (b"SIMPLE  =", "FITS"),
    (b"FUJIFILMCCD-RAW", "camera raw"),
    (b"IIRO", "camera raw"),
    (b"IIU\0", "camera raw"),
    (b"\x8aMNG", "MNG"),
    (b"\x59\xa6\x6a\x95", "Sun raster"),
)
_BRANDS = {
    b"avif": "AVIF",
    b"avis": "animated AVIF",
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1"), "HEIC"),
    **dict.fromkeys((b"hevc", b"hevx"), "animated HEIC"),
    b"crx ": "camera raw",
    b"jxl ": "JPEG XL",
}
_NETPBM = {b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"P7", b"Pf", b"PF"}


def list_unread() -> list[str]:
    """List the kinds that are recognised and refused."""
    named = [*(name for _, name in _OTHERS), *_BRANDS.values(), "BMP", "PNM", "ICO"]
    return sorted(set(named) - {"AVIF"}, key=str.lower)


def find_kind(path: Path) -> Kind | None:
    """Name the kind of a picture file.

    None for what is no picture, and for a file that cannot be opened.
    """
    try:
        with path.open("rb") as file:
            return recognise(file.read(HEAD))
    except OSError:
        return None


def read_kind(file: BinaryIO) -> Kind | None:
    """Name the kind of an open file.

    The file is then at its beginning again.
    """
    head = file.read(HEAD)
    file.seek(0)
    return recognise(head)


def recognise(head: bytes) -> Kind | None:
    """Name the kind of a picture by its beginning.

    Args:
        head: its first `HEAD` bytes.

    Returns:
        None if they begin no picture.
    """
    for beginning, name in _READABLE:
        if head.startswith(beginning):
            return Kind(name, True)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Kind("WebP", True)
    for beginning, name in _OTHERS:
        if head.startswith(beginning):
            return Kind(name, False)
    if head[4:8] == b"ftyp":
        return _recognise_brand(head)
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0" and head[14:18] in _BITMAP_HEADERS:
        return Kind("BMP", False)
    if head[:2] in _NETPBM and head[2:3] in b"\n\r\t #" and head[2:3]:
        return Kind("PNM", False)
    if head[:4] in (b"\0\0\1\0", b"\0\0\2\0") and head[4:6] != b"\0\0" and head[9:10] == b"\0":
        return Kind("ICO", False)
    return None


_BITMAP_HEADERS = {size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124)}
"""Sizes of the second header of a BMP file, by which a text that begins with BM is none."""


def _recognise_brand(head: bytes) -> Kind | None:
    """Name a file of the family of HEIF.

    Its main brand decides, and the others where that one is general.
    """
    brands = [head[8:12], *(head[start : start + 4] for start in range(16, len(head) - 3, 4))]
    if brands[0] in (b"mif1", b"msf1"):  # a general brand, which the others make precise
        brands = [*(brand for brand in brands[1:] if brand in _BRANDS and brand not in (b"mif1", b"msf1")), brands[0]]
    name = _BRANDS.get(brands[0])
    return None if name is None else Kind(name, name == "AVIF")

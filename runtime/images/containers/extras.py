"""Metadata that a file of the same format keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from . import jpeg, png, tiff
from .items import Item

CONTAINERS = {"PNG": png, "JPEG": jpeg, "TIFF": tiff}
"""Modules that read and write the metadata of a format by its name."""


@dataclass(frozen=True)
class Extras:
    """Metadata of a file beside ICC, EXIF, XMP and resolution."""

    format: str = ""
    """Name of the format of the file."""
    items: tuple[Item, ...] = ()
    frames: int = 1
    """Number of pictures in the file, without thumbnails."""
    has_resolution: bool = False
    """Whether the file names a resolution; False for formats that are not looked into."""

    def list_dropped(self, format: str) -> list[str]:
        """Name what a file of a format does not keep."""
        names = [item.name for item in self.items if format != self.format or not item.data]
        return list(dict.fromkeys(names))


def read_extras(file: BinaryIO, format: str) -> Extras:
    """Read the metadata of an open file.

    Damaged parts are left out, since the decoder judges the file.

    Args:
        file: the file, which is left at any place.
        format: name of its format.
    """
    module = CONTAINERS.get(format)
    if module is None:
        return Extras(format)
    found = module.read_items(file)
    return Extras(format, found.items, found.frames, found.has_resolution)


def write_extras(encoded: bytes, format: str, extras: Extras, *, keep_resolution: bool) -> bytes:
    """Put metadata into an encoded file.

    Args:
        encoded: a whole file as libvips made it.
        format: name of its format.
        extras: metadata; nothing is taken from a file of another format.
        keep_resolution: whether the picture's resolution is known; libvips makes one up otherwise.
    """
    module = CONTAINERS.get(format)
    if module is None:
        return encoded
    items = extras.items if extras.format == format else ()
    return bytes(module.write_items(encoded, items, keep_resolution))

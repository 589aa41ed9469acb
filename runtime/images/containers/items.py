"""Pieces of metadata of a file."""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

MAX_BYTES = 1 << 26
"""Bytes of the largest piece that is kept; a header that claims more is damaged or hostile."""


class Item(NamedTuple):
    """Piece of metadata in the form of its container."""

    name: str
    """Name that people use, such as "comment"."""
    code: int | bytes
    """Tag, marker or chunk type in the container."""
    data: bytes
    """Content; empty for a piece that is only known to be there, and cannot be kept."""
    type: int = 0
    """Number of the type of a TIFF tag; 0 elsewhere."""


def read_whole(file: BinaryIO, size: int) -> bytes:
    """Read a piece whole, or nothing of it.

    Args:
        file: the file, at the place of the piece.
        size: number of bytes.

    Returns:
        The bytes; none where the file ends before so many.
    """
    data = file.read(size)
    return data if len(data) == size else b""


class Found(NamedTuple):
    """Metadata and pictures of a file."""

    items: tuple[Item, ...] = ()
    frames: int = 1
    """Number of pictures, without thumbnails and masks."""
    has_resolution: bool = False
    """Whether the file names pixels per length; libvips makes up 72 per inch where it does not."""

"""Chunks of PNG files."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from .items import MAX_BYTES, Found, Item, read_whole

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEPT = {
    b"tEXt": "text",
    b"zTXt": "text",
    b"iTXt": "text",
    b"tIME": "time",
    b"gAMA": "gamma",
    b"cHRM": "chromaticities",
    b"sRGB": "rendering intent",
    b"cICP": "coding of colours",
    b"mDCV": "mastering display",
    b"cLLI": "light level",
}
"""Types of the chunks that are carried over, and their names."""
_LOOKED_INTO = {*KEPT, b"acTL", b"pHYs"}
_XMP = b"XML:com.adobe.xmp\0"
"""Keyword of XMP, which libvips reads and writes."""


def read_items(file: BinaryIO) -> Found:
    """Find the chunks to keep, and count frames."""
    file.seek(len(SIGNATURE))
    items, frames, has_resolution = [], 1, False
    for kind, length, position in _walk(file):
        data = read_whole(file, length) if kind in _LOOKED_INTO and length <= MAX_BYTES else b""
        if kind == b"acTL" and len(data) >= 4:
            frames = struct.unpack(">I", data[:4])[0]
        if kind == b"pHYs" and len(data) == 9:
            has_resolution = data[8] == 1  # else a ratio of the sides of pixels
        if kind in KEPT and data and not data.startswith(_XMP):
            items.append(Item(KEPT[kind], kind, data))
        file.seek(position + length + 4)
    return Found(tuple(items), frames, has_resolution)


def write_items(encoded: bytes, items: Sequence[Item], keep_resolution: bool) -> bytes:
    """Put chunks into an encoded file, behind its header.

    Args:
        encoded: a whole PNG file.
        items: chunks as `read_items` gave them.
        keep_resolution: whether the file's resolution stays; otherwise it is taken out.
    """
    end = len(SIGNATURE) + 25  # the header is the first chunk, and always of one size
    parts = [encoded[:end]]
    parts += [_make_chunk(item.code, item.data) for item in items if isinstance(item.code, bytes)]
    rest = encoded[end:]
    while rest:
        length = struct.unpack(">I", rest[:4])[0]
        if rest[4:8] == b"IDAT":
            break
        if rest[4:8] == b"zTXt" and rest[8:].startswith(_XMP):
            parts.append(_make_chunk(b"iTXt", _to_international(rest[8 : length + 8])))
        elif keep_resolution or rest[4:8] != b"pHYs":
            parts.append(rest[: length + 12])
        rest = rest[length + 12 :]
    return b"".join([*parts, rest])


def _to_international(data: bytes) -> bytes:
    """Turn the XMP of libvips into an international text.

    It is a compressed text there. Programs that read XMP look for an international text without compression, language
    and translation.
    """
    return _XMP + b"\0\0\0\0" + zlib.decompress(data[len(_XMP) + 1 :])


def _make_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _walk(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, length and place of each chunk."""
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        yield kind, length, file.tell()
        if kind == b"IEND":
            return

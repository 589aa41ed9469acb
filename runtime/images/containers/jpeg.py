"""Segments of JPEG files."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from .items import Found, Item, read_whole

KEPT = {0xFE: "comment", 0xED: "IPTC"}
"""Markers of the segments that are carried over, and their names."""
_COMMENT, _PHOTOSHOP, _FURTHER, _JFIF, _EXIF = 0xFE, 0xED, 0xE2, 0xE0, 0xE1
_START_OF_SCAN, _END = 0xDA, 0xD9
_ALONE = {0x01, *range(0xD0, 0xD9)}
"""Markers without a length."""


def read_items(file: BinaryIO) -> Found:
    """Find comments and IPTC, and notice further pictures."""
    items, has_resolution = [], False
    for marker, data in _walk(file):
        if (marker == _COMMENT and data) or (marker == _PHOTOSHOP and data.startswith(b"Photoshop 3.0\0")):
            items.append(Item(KEPT[marker], marker, data))
        elif marker == _JFIF and data.startswith(b"JFIF\0"):
            has_resolution |= len(data) > 7 and data[7] in (1, 2)
        elif marker == _EXIF and data.startswith(b"Exif\0"):
            has_resolution = True  # libvips reads it from there
        elif marker == _FURTHER and data.startswith(b"MPF\0"):
            items.append(Item("further pictures", marker, b""))
    return Found(tuple(items), 1, has_resolution)


def write_items(encoded: bytes, items: Sequence[Item], keep_resolution: bool) -> bytes:
    """Put segments into an encoded file, behind its first ones.

    Args:
        encoded: a whole JPEG file.
        items: segments as `read_items` gave them.
        keep_resolution: whether the file's resolution stays; otherwise it is said to be unknown.
    """
    place = 2
    while encoded[place] == 0xFF and encoded[place + 1] in (0xE0, 0xE1):  # JFIF and EXIF must stay first
        place += 2 + struct.unpack(">H", encoded[place + 2 : place + 4])[0]
    head = bytearray(encoded[:place])
    jfif = head.find(b"\xff\xe0")
    if not keep_resolution and jfif == 2 and head[6:11] == b"JFIF\0":
        head[13:18] = struct.pack(">BHH", 0, 1, 1)
    segments = [struct.pack(">BBH", 0xFF, item.code, len(item.data) + 2) + item.data for item in items if item.data]
    return b"".join([bytes(head), *segments, encoded[place:]])


def _walk(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the segments before the first scan."""
    file.seek(2)
    while (head := file.read(2)) and len(head) == 2 and head[0] == 0xFF:
        marker = head[1]
        while marker == 0xFF:  # fill bytes
            marker = (file.read(1) or b"\xd9")[0]
        if marker in _ALONE:
            continue
        size = file.read(2)
        if marker in (_START_OF_SCAN, _END) or len(size) < 2 or struct.unpack(">H", size)[0] < 2:
            return
        yield marker, read_whole(file, struct.unpack(">H", size)[0] - 2)

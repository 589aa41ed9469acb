"""Tags of TIFF files.

Only files with 32-bit places are read and changed; those of more than 4 GB, BigTIFF, are left as libvips makes them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from .items import MAX_BYTES, Found, Item, read_whole

KEPT = {
    269: "document name",
    270: "description",
    271: "make",
    272: "model",
    285: "page name",
    305: "software",
    306: "time",
    315: "artist",
    316: "computer",
    33432: "copyright",
    33723: "IPTC",
    33550: "place on the map",
    33922: "place on the map",
    34264: "place on the map",
    34735: "place on the map",
    34736: "place on the map",
    34737: "place on the map",
    42112: "GDAL",
    42113: "GDAL",
}
"""Tags that are carried over, and their names."""
EXTRA_SAMPLES = 338
_SUBFILE, _EXIF, _GPS = 254, 34665, 34853
_UNIT = 296
_RESOLUTION = (282, 283, _UNIT)
_UNSPECIFIED = b"\0\0"
"""Extra sample of an unspecified kind, which is no alpha."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of a value by its type."""
_SWAPPED = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4}
"""Bytes that are in another order in files of the other byte order, by type."""
MAX_PAGES = 1000
"""Number of directories that are followed; a loop ends there at the latest."""


class _Entry(NamedTuple):
    tag: int
    type: int
    amount: int
    value: bytes
    """Four bytes: the value, or its place."""


def read_items(file: BinaryIO) -> Found:
    """Find the tags to keep, and count pages."""
    file.seek(0)
    head = file.read(8)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(head[:4])
    if order is None or len(head) < 8:
        return Found()
    items: list[Item] = []
    frames, has_resolution = 0, False
    for page, entries in enumerate(_walk(file, struct.unpack(f"{order}I", head[4:])[0], order)):
        kind = next((_read_value(file, entry, order) for entry in entries if entry.tag == _SUBFILE), b"")
        frames += not (kind and kind[0] & 0b101)  # thumbnails and masks
        if page == 0:
            unit = next((_read_value(file, entry, order) for entry in entries if entry.tag == _UNIT), b"\2")
            has_resolution = unit[:1] != b"\1" and any(entry.tag == _RESOLUTION[0] for entry in entries)
            items = [item for entry in entries if (item := _make_item(file, entry, order)) is not None]
    return Found(tuple(items), max(1, frames), has_resolution)


def write_items(encoded: bytes, items: Sequence[Item], keep_resolution: bool) -> bytes:
    """Put tags into an encoded file.

    They lie in a new directory at its end.

    Args:
        encoded: a whole TIFF file of one page in the byte order II, as libvips makes it.
        items: tags as `read_items` gave them.
        keep_resolution: whether the file's resolution stays; otherwise it is taken out.
    """
    if encoded[:4] != b"II*\0":
        return encoded
    place = struct.unpack("<I", encoded[4:8])[0]
    count = struct.unpack("<H", encoded[place : place + 2])[0]
    body = encoded[place + 2 : place + 2 + 12 * count]
    entries = {entry[0]: _Entry(*entry) for entry in struct.iter_unpack("<HHI4s", body)}
    if not keep_resolution:
        entries = {tag: entry for tag, entry in entries.items() if tag not in _RESOLUTION}
    tail = bytearray(b"\0" * (len(encoded) % 2))
    for item in items:
        if not isinstance(item.code, int) or not item.data or (item.code == EXTRA_SAMPLES) > (EXTRA_SAMPLES in entries):
            continue
        value = item.data.ljust(4, b"\0")
        if len(value) > 4:
            value = struct.pack("<I", len(encoded) + len(tail))
            tail += item.data + b"\0" * (len(item.data) % 2)
        entries[item.code] = _Entry(item.code, item.type, len(item.data) // _SIZES[item.type], value)
    start = len(encoded) + len(tail)
    tail += struct.pack("<H", len(entries))
    tail += b"".join(struct.pack("<HHI4s", *entries[tag]) for tag in sorted(entries)) + bytes(4)
    return encoded[:4] + struct.pack("<I", start) + encoded[8:] + bytes(tail)


def _make_item(file: BinaryIO, entry: _Entry, order: str) -> Item | None:
    if entry.tag in (_EXIF, _GPS):
        return Item("EXIF", entry.tag, b"")
    if entry.tag not in KEPT and entry.tag != EXTRA_SAMPLES:
        return None
    data = _read_value(file, entry, order)
    if entry.tag == EXTRA_SAMPLES:
        return Item("kind of extra sample", entry.tag, data, entry.type) if data == _UNSPECIFIED else None
    return Item(KEPT[entry.tag], entry.tag, data, entry.type) if data else None


def _read_value(file: BinaryIO, entry: _Entry, order: str) -> bytes:
    """Return the bytes of a value in the order II.

    Empty for a damaged one.
    """
    size = entry.amount * _SIZES.get(entry.type, 0)
    if not 0 < size <= MAX_BYTES:
        return b""
    data = entry.value[:size]
    if size > 4:
        file.seek(struct.unpack(f"{order}I", entry.value)[0])
        data = read_whole(file, size)
    width = _SWAPPED.get(entry.type, 1)
    if order == ">" and width > 1:
        data = b"".join(data[start : start + width][::-1] for start in range(0, len(data), width))
    return data if len(data) == size else b""


def _walk(file: BinaryIO, place: int, order: str) -> Iterator[list[_Entry]]:
    """Yield the directories."""
    for _ in range(MAX_PAGES):
        file.seek(place)
        head = file.read(2)
        if place == 0 or len(head) < 2:
            return
        body = file.read(12 * struct.unpack(f"{order}H", head)[0])
        following = file.read(4)
        if len(following) < 4:
            return
        place = struct.unpack(f"{order}I", following)[0]
        yield [_Entry(*entry) for entry in struct.iter_unpack(f"{order}HHI4s", body)]

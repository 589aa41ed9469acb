"""Fields of messages in the format of protocol buffers.

ONNX files are such messages. The runtime installs without the package onnx, so it reads the few fields that it needs
by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

Value = int | memoryview
"""Number of a field, or the bytes of a text, a message or packed numbers."""

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
"""Ways in which a field is stored."""
_LONGEST_VARINT = 10
"""Most bytes of a number."""


def read_fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield the fields of a message in order.

    Args:
        data: the message, bytes.

    Yields:
        Number and value of each field; numbers of fixed size come as their bytes.

    Raises:
        ValueError: the bytes are no message.
    """
    place = 0
    while place < len(data):
        tag, place = _read_varint(data, place)
        kind, size = tag & 7, 0
        if kind == _VARINT:
            number, place = _read_varint(data, place)
            yield tag >> 3, number
            continue
        if kind == _BYTES:
            size, place = _read_varint(data, place)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"a field is stored in the way {kind}, which is not known")
        if size > len(data) - place:
            raise ValueError(f"a field needs {size} bytes and {len(data) - place} are left")
        yield tag >> 3, data[place : place + size]
        place += size


def read_numbers(value: Value) -> list[int]:
    """Read the whole numbers of a repeated field.

    They may be packed or not.

    Raises:
        ValueError: the bytes are no numbers.
    """
    if isinstance(value, int):
        return [to_signed(value)]
    numbers, place = [], 0
    while place < len(value):
        number, place = _read_varint(value, place)
        numbers.append(to_signed(number))
    return numbers


def to_signed(number: int) -> int:
    """Return the signed form of a 64-bit number."""
    return number - (1 << 64) if number >> 63 else number


def to_bytes(value: Value) -> memoryview:
    """Return the bytes of a field.

    Raises:
        ValueError: the field is a number.
    """
    if isinstance(value, int):
        raise ValueError(f"a field is the number {value}, expected bytes")
    return value


def to_number(value: Value) -> int:
    """Return the number of a field, with its sign.

    Raises:
        ValueError: the field has bytes.
    """
    if not isinstance(value, int):
        raise ValueError("a field has bytes, expected a number")
    return to_signed(value)


def to_text(value: Value) -> str:
    """Return the text of a field.

    Raises:
        ValueError: the field is a number, or its bytes are no UTF-8.
    """
    return bytes(to_bytes(value)).decode("utf-8")


def _read_varint(data: memoryview, place: int) -> tuple[int, int]:
    """Read a number and find the place behind it."""
    number = 0
    for index in range(_LONGEST_VARINT):
        if place + index >= len(data):
            raise ValueError("a number is cut off")
        byte = data[place + index]
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number & (1 << 64) - 1, place + index + 1
    raise ValueError(f"a number has more than {_LONGEST_VARINT} bytes")

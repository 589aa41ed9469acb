"""Messages are read field by field, and what is none is refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spair.runtime.graphs.wire import read_fields, read_numbers, to_bytes, to_number, to_text


def test_fields_come_in_order_with_their_numbers():
    data = bytes([8, 0x96, 1, 18, 2, 104, 105, 29, 0, 0, 128, 63, 33, *range(8)])
    found = [
        (number, value if isinstance(value, int) else bytes(value)) for number, value in read_fields(memoryview(data))
    ]
    assert found == [(1, 150), (2, b"hi"), (3, b"\0\0\x80?"), (4, bytes(range(8)))]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x08", "a number is cut off"),
        (b"\x08" + b"\xff" * 11, "more than 10 bytes"),
        (b"\x12\x05hi", "needs 5 bytes and 2 are left"),
        (b"\x0b", "in the way 3, which is not known"),
        (b"\x0d\0", "needs 4 bytes and 1 are left"),
    ],
)
def test_what_is_no_message_is_refused(data, reason):
    with pytest.raises(ValueError, match=reason):
        list(read_fields(memoryview(data)))


def test_negative_numbers_are_read_packed_or_not():
    minus_one = b"\xff" * 9 + b"\x01"
    assert read_numbers(memoryview(minus_one + b"\x05")) == [-1, 5]
    assert read_numbers((1 << 64) - 1) == [-1]


@pytest.mark.parametrize(
    ("read", "value"), [(to_bytes, 1), (to_number, memoryview(b"")), (to_text, memoryview(b"\xff"))]
)
def test_a_field_of_another_kind_is_refused(read, value):
    with pytest.raises(ValueError, match=r"expected|decode"):
        read(value)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data):
    with contextlib.suppress(ValueError):
        assert all(number >= 0 for number, _ in read_fields(memoryview(data)))

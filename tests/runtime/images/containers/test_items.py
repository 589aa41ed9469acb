"""Pieces of metadata."""

import io

import pytest

from spair.runtime.images.containers.items import Found, read_whole


def test_a_file_without_metadata_has_one_picture():
    assert Found() == ((), 1, False)


@pytest.mark.parametrize(("size", "expected"), [(0, b""), (3, b"abc"), (4, b"")])
def test_what_the_file_ends_in_is_not_read_in_half(size, expected):
    assert read_whole(io.BytesIO(b"abc"), size) == expected

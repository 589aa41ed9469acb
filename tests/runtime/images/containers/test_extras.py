"""Metadata beside ICC, EXIF, XMP and resolution."""

import io

import pytest

from spair.runtime.images.containers import Extras, read_extras, write_extras
from spair.runtime.images.containers.items import Item


@pytest.mark.parametrize("format", ["WebP", "GIF", "AVIF", ""])
def test_other_formats_have_none(format):
    assert read_extras(io.BytesIO(b"data"), format) == Extras(format)
    assert write_extras(b"data", format, Extras(format), keep_resolution=False) == b"data"


def test_pieces_of_another_format_or_without_data_are_dropped():
    extras = Extras("JPEG", (Item("comment", 0xFE, b"a"), Item("comment", 0xFE, b"b"), Item("pictures", 0xE2, b"")))
    assert extras.list_dropped("JPEG") == ["pictures"]
    assert extras.list_dropped("PNG") == ["comment", "pictures"]

"""Metadata beside ICC, EXIF, XMP and resolution."""

import io
import struct

import pytest

from spair.runtime.images.containers import Extras, read_extras, write_extras
from spair.runtime.images.containers.items import Item
from tests.runtime.images.containers import test_jpeg as jpeg
from tests.runtime.images.containers import test_png as png
from tests.runtime.images.containers import test_tiff as tiff


@pytest.mark.parametrize("format", ["WebP", "GIF", "AVIF", ""])
def test_other_formats_have_none(format):
    assert read_extras(io.BytesIO(b"data"), format) == Extras(format)
    assert write_extras(b"data", format, Extras(format), keep_resolution=False) == b"data"


def test_pieces_of_another_format_or_without_data_are_dropped():
    extras = Extras("JPEG", (Item("comment", 0xFE, b"a"), Item("comment", 0xFE, b"b"), Item("pictures", 0xE2, b"")))
    assert extras.list_dropped("JPEG") == ["pictures"]
    assert extras.list_dropped("PNG") == ["comment", "pictures"]


@pytest.fixture(params=["PNG", "JPEG", "TIFF"])
def file(request) -> tuple[str, bytes]:
    """Format and bytes of a small file with all kinds of metadata."""
    module = {"PNG": png, "JPEG": jpeg, "TIFF": tiff}[request.param]
    data = write_extras(module.encode(), request.param, Extras(request.param, module.GIVEN), keep_resolution=True)
    if request.param == "PNG":
        frames = struct.pack(">I4sIII", 8, b"acTL", 3, 0, 0)
        data = data[:33] + frames + data[33:]
    return request.param, data


def test_a_file_cut_anywhere_has_no_half_pieces(file):
    name, data = file
    whole = read_extras(io.BytesIO(data), name)
    assert len(whole.items) > 1 and whole.has_resolution
    for end in range(len(data)):
        found = read_extras(io.BytesIO(data[:end]), name)
        assert set(found.items) <= set(whole.items)
        assert found.frames in (1, whole.frames)


def test_damaged_bytes_end_no_reader(file):
    name, data = file
    for place in range(min(len(data), 400)):
        for value in (0, 1, 0x7F, 0xFF):
            read_extras(io.BytesIO(data[:place] + bytes([value]) + data[place + 1 :]), name)
    for place in range(max(0, len(data) - 400), len(data)):  # the directory of a TIFF file lies at its end
        for value in (0, 1, 0x7F, 0xFF):
            read_extras(io.BytesIO(data[:place] + bytes([value]) + data[place + 1 :]), name)

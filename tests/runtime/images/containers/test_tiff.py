"""Tags that go from one TIFF file to the next."""

import io
import struct

import pytest
import pyvips

from spair.runtime.images.containers.items import Item
from spair.runtime.images.containers.tiff import EXTRA_SAMPLES, read_items, write_items
from tests.runtime.images.samples import pixels

GIVEN = (
    Item("time", 306, b"2026:01:01 00:00:00\0", 2),
    Item("artist", 315, b"Ada\0", 2),
    Item("place on the map", 33550, struct.pack("<3d", 0.5, 0.5, 0.0), 12),
)

PIXELS = pixels(channels=4)


def encode(channels=3, **options) -> bytes:
    return pyvips.Image.new_from_array(PIXELS[..., :channels]).copy(interpretation="srgb").tiffsave_buffer(**options)


def make_big_endian(entries: list[tuple[int, int, int, bytes]], following: int = 0) -> bytes:
    """A file of one directory, without pixels."""
    body = b"".join(struct.pack(">HHI4s", *entry) for entry in entries)
    return b"MM\0*" + struct.pack(">IH", 8, len(entries)) + body + struct.pack(">I", following)


@pytest.mark.parametrize("keep_resolution", [True, False])
def test_tags_come_back_and_the_file_decodes(keep_resolution):
    data = write_items(encode(), GIVEN, keep_resolution)
    found = read_items(io.BytesIO(data))
    assert (found.items, found.frames, found.has_resolution) == (GIVEN, 1, keep_resolution)
    image = pyvips.Image.new_from_buffer(data, "", fail_on="warning")
    assert (image.numpy() == pyvips.Image.new_from_buffer(encode(), "").numpy()).all()


def test_an_extra_sample_of_no_kind_does_not_become_alpha():
    data = write_items(encode(4), [Item("kind", EXTRA_SAMPLES, b"\0\0", 3)], True)
    (item,) = read_items(io.BytesIO(data)).items
    assert item.code == EXTRA_SAMPLES
    assert read_items(io.BytesIO(encode(4))).items == (), "alpha needs nothing"
    three = write_items(encode(3), [Item("kind", EXTRA_SAMPLES, b"\0\0", 3)], True)
    assert read_items(io.BytesIO(three)).items == (), "a picture without the sample gets no tag for it"


def test_numbers_of_the_other_byte_order_are_turned():
    data = make_big_endian([(33550, 3, 2, struct.pack(">HH", 1, 515))])
    assert read_items(io.BytesIO(data)).items[0].data == struct.pack("<HH", 1, 515)


def test_thumbnails_are_no_pages():
    def two_pages(kind: int) -> io.BytesIO:
        directories = [(0, 26), (kind, 0)]
        packed = [struct.pack("<HHHIII", 1, 254, 4, 1, subfile, following) for subfile, following in directories]
        return io.BytesIO(b"II*\0\x08\0\0\0" + b"".join(packed))

    assert [read_items(two_pages(kind)).frames for kind in (0, 1, 2, 4)] == [2, 1, 2, 1]


def test_a_kind_of_page_that_cannot_be_read_counts_as_a_page():
    assert read_items(io.BytesIO(make_big_endian([(254, 0, 1, bytes(4))]))).frames == 1


def test_a_loop_of_directories_ends():
    assert read_items(io.BytesIO(make_big_endian([(254, 4, 1, bytes(4))], following=8))).frames == 1000


@pytest.mark.parametrize("cut", [0, 5, 9, 15])
def test_a_cut_file_gives_nothing(cut):
    assert read_items(io.BytesIO(make_big_endian([(315, 2, 4, b"Ada\0")])[:cut])).items == ()

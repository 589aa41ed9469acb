"""Segments that go from one JPEG file to the next."""

import io

import pytest
import pyvips

from spair.runtime.images.containers.items import Item
from spair.runtime.images.containers.jpeg import read_items, write_items
from tests.runtime.images.samples import pixels

GIVEN = (Item("comment", 0xFE, b"a word"), Item("IPTC", 0xED, b"Photoshop 3.0\x008BIM\4\4"))

PIXELS = pixels()


def encode() -> bytes:
    plain = pyvips.Image.new_from_array(PIXELS).jpegsave_buffer(keep="none")
    return plain[:2] + b"\xff\xe0\0\x10JFIF\0\1\2\1\0\x48\0\x48\0\0" + plain[2:]  # 72 pixels per inch


@pytest.mark.parametrize("keep_resolution", [True, False])
def test_segments_come_back_and_the_file_decodes(keep_resolution):
    data = write_items(encode(), GIVEN, keep_resolution)
    found = read_items(io.BytesIO(data))
    assert (found.items, found.has_resolution) == (GIVEN, keep_resolution)
    image = pyvips.Image.new_from_buffer(data, "", fail_on="warning")
    assert (image.numpy() == pyvips.Image.new_from_buffer(encode(), "").numpy()).all()


def test_further_pictures_are_noticed_but_not_kept():
    plain = encode()
    data = plain[:2] + b"\xff\xe2\0\x08MPF\0II" + plain[2:]
    (item,) = read_items(io.BytesIO(data)).items
    assert (item.name, item.data) == ("further pictures", b"")
    assert write_items(plain, [item], True) == plain


@pytest.mark.parametrize("cut", [3, 4, 5, 20])
def test_a_cut_file_gives_what_is_there(cut):
    assert read_items(io.BytesIO(encode()[:cut])).items == ()

"""Chunks that go from one PNG file to the next."""

import io

import pyvips
from PIL import Image

from spair.runtime.images.containers.items import Item
from spair.runtime.images.containers.png import read_items, write_items
from tests.runtime.images.samples import pixels

GIVEN = (
    Item("text", b"tEXt", b"Author\0Ada"),
    Item("gamma", b"gAMA", (45455).to_bytes(4, "big")),
    Item("coding of colours", b"cICP", b"\x09\x10\0\1"),
)

PIXELS = pixels()


def encode() -> bytes:
    return pyvips.Image.new_from_array(PIXELS).pngsave_buffer()


def test_chunks_come_back_and_the_file_decodes():
    data = write_items(encode(), GIVEN, True)
    found = read_items(io.BytesIO(data))
    assert (found.items, found.frames, found.has_resolution) == (GIVEN, 1, True)
    image = pyvips.Image.new_from_buffer(data, "", fail_on="warning")
    assert image.get("png-comment-0-Author") == "Ada"
    assert (image.numpy() == pyvips.Image.new_from_buffer(encode(), "").numpy()).all()


def test_a_resolution_that_was_made_up_is_taken_out():
    assert not read_items(io.BytesIO(write_items(encode(), (), False))).has_resolution


def test_xmp_is_written_where_other_programs_look_for_it():
    image = pyvips.Image.new_from_array(PIXELS)
    packet = "<x:xmpmeta>Ä</x:xmpmeta>".encode()
    image.set_type(pyvips.GValue.blob_type, "xmp-data", packet)
    data = write_items(image.pngsave_buffer(keep="xmp"), GIVEN, True)
    assert b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + packet in data and b"zTXtXML:" not in data
    found = Image.open(io.BytesIO(data))
    found.load()
    assert found.info["xmp"] == packet
    assert pyvips.Image.new_from_buffer(data, "", fail_on="warning").get("xmp-data") == packet


def test_a_chunk_that_claims_too_much_is_passed_over():
    data = write_items(encode(), GIVEN, True)
    place = data.index(b"tEXt") - 4
    damaged = data[:place] + b"\x7f\xff\xff\xff" + data[place + 4 :]
    assert read_items(io.BytesIO(damaged)).items == ()

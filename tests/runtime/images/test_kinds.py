"""Kinds of picture files by their first bytes."""

import pytest

from spair.runtime.images.kinds import find_kind, recognise
from tests.runtime.images.samples import make


@pytest.mark.parametrize(
    ("head", "name", "readable"),
    [
        (b"\x89PNG\r\n\x1a\n", "PNG", True),
        (b"\xff\xd8\xff\xe0", "JPEG", True),
        (b"RIFF\0\0\0\0WEBPVP8L", "WebP", True),
        (b"MM\0*\0\0\0\x08", "TIFF", True),
        (b"II+\0\x08\0", "TIFF", True),
        (b"GIF89a", "GIF", True),
        (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1", "AVIF", True),
        (b"\0\0\0\x20ftypmif1\0\0\0\0mif1avif", "AVIF", True),
        (b"\0\0\0\x20ftypmif1\0\0\0\0mif1heic", "HEIC", False),
        (b"\0\0\0\x20ftypavis\0\0\0\0avifmif1", "animated AVIF", False),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC", False),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL", False),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000", False),
        (b"BM\x36\x10\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", "BMP", False),
        (b"P6\n4 4\n255\n", "PNM", False),
        (b"8BPS\0\1", "Photoshop", False),
        (b"qoif\0\0\0\4", "QOI", False),
    ],
)
def test_each_kind_is_known(head, name, readable):
    assert recognise(head.ljust(64, b"\0")) == (name, readable)


@pytest.mark.parametrize("head", [b"", b"BM is a text", b"P6", b"PK\3\4", b"\0\0\0\x18ftypmp42", b"{}", bytes(64)])
def test_other_files_are_none(head):
    assert recognise(head) is None


def test_files_are_opened_for_it(tmp_path):
    kind = find_kind(make(tmp_path / "a.png"))
    assert kind is not None and kind.name == "PNG"
    assert find_kind(tmp_path / "none") is None

"""Pictures are refused by their headers, each bound with its figure."""

import pytest

from spair.runtime.bounds import memory
from spair.runtime.errors import UserError
from spair.runtime.images.claims import MOST_SAMPLES, LargePictureError, check_bounds


class Header:
    def __init__(self, width=40, height=30, bands=3, format="uchar"):
        self.width, self.height, self.bands, self.format = width, height, bands, format


@pytest.mark.parametrize(
    ("header", "most", "error", "words"),
    [
        (Header(), 1199, LargePictureError, "40x30 is more than 1199 pixels"),
        (Header(bands=6), 1200, UserError, "has 6 channels, expected 1"),
        (Header(format="complex"), 1200, UserError, "samples are complex"),
        (Header(bands=5, format="float"), 1200, LargePictureError, f"24000 bytes, more than {MOST_SAMPLES} for each"),
    ],
)
def test_each_bound_has_its_sentence(header, most, error, words):
    with pytest.raises(error, match=words):
        check_bounds(header, "the picture", most)


def test_what_fits_is_taken_unless_memory_is_short(monkeypatch):
    check_bounds(Header(bands=5), "the picture", 1200)
    large = Header(width=20_000, height=10_000)
    monkeypatch.setattr(memory, "find_free_memory", lambda: 10**9)
    with pytest.raises(memory.MemoryShortError, match=r"needs 1\.2 GB of memory and 1\.0 GB are free"):
        check_bounds(large, "the picture", 10**9)
    monkeypatch.setattr(memory, "find_free_memory", lambda: 2 * 10**9)
    check_bounds(large, "the picture", 10**9)

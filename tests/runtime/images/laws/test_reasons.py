"""Why a picture is not read is said in the words of its decoder, without names of what lies inside."""

import re

import pytest
import pyvips

from spair.runtime import UserError
from spair.runtime.images import decode_image
from spair.runtime.images.reader import first_reason
from tests.runtime.images.samples import pixels


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("VipsForeignLoad: source is not in a known format\n", "the decoder gives no reason"),
        ("unable to call jpegload\n  jpegload: premature end\n", "premature end"),
        ("tiff2vips: samples out of range\nload error\n", "samples out of range"),
        ("heif: Invalid input: End of file (2.100)\n(2.100)\n", "Invalid input: End of file"),
        ("VipsJpeg: Bogus marker length: 3", "Bogus marker length: 3"),
        ("\n", "the decoder gives no reason"),
    ],
)
def test_reasons_are_those_of_the_decoder_without_internal_names(lines, reason):
    assert first_reason(RuntimeError(lines)) == reason


@pytest.mark.parametrize("suffix", [".png", ".tif", ".gif", ".webp", ".jpg"])
def test_a_file_that_was_cut_short_is_named_without_internal_names(tmp_path, suffix):
    image = pyvips.Image.new_from_array(pixels(30, 40))
    data = image.write_to_buffer(suffix)
    for end in (16, 40, len(data) // 2):
        with pytest.raises(UserError) as caught:
            decode_image(data[:end])
        assert not re.search(r"vips|load|known format|\(\d", str(caught.value)), str(caught.value)

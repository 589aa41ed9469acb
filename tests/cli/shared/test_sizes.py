"""Sizes of pictures on the command line."""

import pytest

from spair.cli.shared.sizes import parse_size
from spair.runtime import UserError


@pytest.mark.parametrize(("text", "size"), [("1920x1080", (1920, 1080)), ("1X7", (1, 7))])
def test_a_size_is_width_and_height(text, size):
    assert parse_size("--size", text) == size


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("1920", "the size '1920' is not WIDTHxHEIGHT in pixels; give for example --max-size 1920x1080"),
        ("-4x4", "the size '-4x4' is not"),
        ("4x4x4", "the size '4x4x4' is not"),
        ("٤x4", "is not WIDTHxHEIGHT"),
        ("0x4", "has 0 pixels, expected 1 to 500000000"),
        ("99999x99999", "has 9999800001 pixels"),
    ],
)
def test_anything_else_is_one_sentence(text, match):
    with pytest.raises(UserError, match=match):
        parse_size("--max-size", text)

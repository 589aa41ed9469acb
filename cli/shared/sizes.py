"""Sizes of pictures on the command line."""

from __future__ import annotations


def parse_size(option: str, text: str) -> tuple[int, int]:
    """Parse "1920x1080" into width and height in pixels.

    Args:
        option: name of the option, for the message.
        text: its value.

    Raises:
        UserError: the text has another form, a side below 1, or more pixels than a picture file may have.
    """
    from ...runtime.errors import UserError
    from ...runtime.images import MAX_PIXELS

    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isascii() and side.isdigit() and 0 < len(side) < 10 for side in sides):
        raise UserError(f"the size {text!r} is not WIDTHxHEIGHT in pixels; give for example {option} 1920x1080")
    width, height = map(int, sides)
    if not 0 < width * height <= MAX_PIXELS:
        raise UserError(f"the size {text} has {width * height} pixels, expected 1 to {MAX_PIXELS}")
    return width, height

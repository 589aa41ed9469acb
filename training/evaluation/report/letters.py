"""Letters of the montages and charts."""

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import ImageDraw

HEIGHT = 15
"""Height of the letters in pixels."""


def draw_words(
    draw: "ImageDraw.ImageDraw", place: tuple[float, float], words: str, colour: tuple[int, int, int], anchor: str
) -> None:
    """Draw words.

    Args:
        draw: the sheet.
        place: pixels from the left and from the top.
        words: ASCII.
        colour: RGB.
        anchor: Pillow's name of the point of the words that lies there, such as "la" for the upper left.
    """
    draw.text(place, words, fill=colour, font=load_font(), anchor=anchor)


@cache
def load_font() -> Any:
    """Load the font."""
    from PIL import ImageFont

    return ImageFont.load_default(HEIGHT)  # part of Pillow, so the system needs no font

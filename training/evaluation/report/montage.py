"""Montage of one measured picture.

It shows the picture before, the restoration by each network, the truth, errors and masks.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..comparison import Measured
from ..masks import Located
from ..metrics import PSNR_CAP
from ..protocols import TaskProtocol
from .letters import load_font
from .maps import ERROR_TOP, FALSE, HIT, MISSED, colour_errors, colour_masks, error_levels, palette, to_levels

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

WIDEST = 640
"""Longest side in pixels of a picture in a montage; larger pictures are shown smaller."""

NARROWEST = 240
"""Least length in pixels of the longest side in a montage; smaller pictures are enlarged pixel by pixel."""

_INK, _PALE = (30, 30, 34), (110, 110, 118)
_GAP, _LINE, _FOOT = 14, 26, 40  # pixels
_CELL = 300  # width in pixels of the narrowest cell, in which its words fit


class Panel(NamedTuple):
    """A picture as it is shown, with words above it."""

    title: str
    note: str
    picture: "Image.Image"


Column = tuple[Panel, ...]
"""Panels below each other, which show the work of one network on a picture."""

Models = Sequence[tuple[str, Column]]
"""Name and column of each network; the report is about the first."""


def make_column(measured: Measured, protocol: TaskProtocol) -> Column:
    """Make the column of a network that restored a picture.

    It shows the restored picture and its errors, with the protocol's PSNR or the Lab error over all pixels.
    """
    return (
        Panel("restored", _score(measured.row, protocol), _show(to_levels(measured.restored))),
        _show_errors("error after", measured.restored, measured.target),
    )


def make_mask_column(located: Located) -> Column:
    """Make the column of a network that found a mask."""
    mask = located.row["mask"]
    note = f"{100 * located.row['density']:.1f} %, IoU {mask['iou']:.2f}, BER {100 * mask['ber']:.1f} %"
    return (Panel("found mask", note, _show(colour_masks(located.predicted, located.truth))),)


def draw_montage(measured: Measured, protocol: TaskProtocol, models: Models) -> np.ndarray:
    """Draw the restorations of one picture.

    The upper row shows the picture before, restored by each network (`make_column`) and the truth. The lower row shows
    the errors of all but the truth, and the masks of `measured`. Letters beyond ASCII become "?", because the built-in
    font lacks most of them. The montage is uint8 [H, W, 3].
    """
    from PIL import ImageDraw

    row, masks = measured.row, colour_masks(measured.predicted, measured.truth)
    found = f"true {100 * row['true_density']:.1f} %"
    if row["mask"] is not None:
        found = f"{100 * row['density']:.1f} %, {found}, IoU {row['mask']['iou']:.2f}"
    before = Panel("before", _score(row["input"], protocol), _show(to_levels(measured.image)))
    truth = Panel("truth", "", _show(to_levels(measured.target)))
    finder = "found mask" if len(models) == 1 else f"mask of {models[0][0]}"
    mask = Panel("true mask" if measured.predicted is None else finder, found, _show(masks))
    columns = (
        (before, _show_errors("error before", measured.image, measured.target)),
        *_columns(models),
        (truth, mask),
    )
    sheet, cell = _draw_columns(columns, row, f"restored by {', '.join(name for name, _ in models)}")
    draw, foot = ImageDraw.Draw(sheet), sheet.height - _FOOT - _GAP // 2
    _draw_scale(draw, (_GAP, foot), min(2 * cell + _GAP, 640))
    _draw_legend(draw, (_GAP + (len(columns) - 1) * (cell + _GAP), foot), measured.predicted is not None)
    return np.array(sheet)


def draw_mask_montage(located: Located, models: Models) -> np.ndarray:
    """Draw the masks found in one photograph.

    The photograph comes first, then the mask of each network (`make_mask_column`). The montage is uint8 [H, W, 3].
    """
    from PIL import ImageDraw

    row = located.row
    before = Panel("before", f"true {100 * row['true_density']:.1f} %", _show(to_levels(located.image)))
    columns = ((before,), *_columns(models))
    sheet, cell = _draw_columns(columns, row, f"searched by {', '.join(name for name, _ in models)}")
    foot = sheet.height - _FOOT - _GAP // 2
    _draw_legend(ImageDraw.Draw(sheet), (_GAP + cell + _GAP, foot), found=True)
    return np.array(sheet)


def _columns(models: Models) -> list[Column]:
    """List the columns of all networks.

    Several networks have their names as titles.
    """
    if len(models) == 1:
        return [models[0][1]]
    return [(column[0]._replace(title=name), *column[1:]) for name, column in models]


def _show_errors(title: str, picture: np.ndarray, target: np.ndarray) -> Panel:
    """Make a panel of error colours."""
    levels = error_levels(picture, target)
    return Panel(title, f"mean {levels.mean():.1f} of 255", _show(levels, errors=True))


def _draw_columns(columns: Sequence[Column], row: dict[str, Any], note: str) -> tuple["Image.Image", int]:
    """Draw the panels on a sheet.

    The name of the picture stands above them, and below them is room for a foot.

    Returns:
        The sheet, and the width of a cell in pixels.
    """
    from PIL import Image, ImageDraw

    shown, rows = columns[0][0].picture, len(columns[0])
    cell, height = max(_CELL, shown.width), shown.height + _LINE
    size = (len(columns) * (cell + _GAP) + _GAP, _GAP + _LINE + rows * (height + _GAP) + _FOOT)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    _write(draw, (_GAP, _GAP), f"{row['name']}, {row['width']}x{row['height']}", note, len(columns) * cell)
    for right, column in enumerate(columns):
        for down, panel in enumerate(column):
            x, y = _GAP + right * (cell + _GAP), _GAP + _LINE + down * (height + _GAP)
            _write(draw, (x, y), panel.title, panel.note, cell)
            sheet.paste(panel.picture, (x, y + _LINE))
    return sheet, cell


def _score(measures: dict[str, Any], protocol: TaskProtocol) -> str:
    """Write the score of a picture that its protocol prints."""
    if protocol.lab:
        return f"Lab error {measures['rmse']['all']:.2f}"
    value = measures[protocol.psnr]
    return "identical" if value >= PSNR_CAP else f"{value:.2f} dB"


def _show(pixels: np.ndarray, errors: bool = False) -> "Image.Image":
    """Bring a picture to its size in the montage.

    Errors are coloured after that, because colours cannot be averaged.
    """
    from PIL import Image

    image = Image.fromarray(pixels)
    longest = max(image.size)
    if longest > WIDEST:
        width, height = (max(1, round(side * WIDEST / longest)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BOX if errors else Image.Resampling.LANCZOS)
    elif longest < NARROWEST:
        factor = -(-NARROWEST // longest)
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    return Image.fromarray(colour_errors(np.asarray(image))) if errors else image


def _draw_scale(draw: "ImageDraw.ImageDraw", place: tuple[int, int], width: int) -> None:
    """Draw the colours of the error maps with their levels."""
    x, y = place
    for column in range(width):
        draw.line((x + column, y, x + column, y + 12), fill=tuple(palette()[round(column / (width - 1) * ERROR_TOP)]))
    for level in range(0, ERROR_TOP + 1, 16):
        words = f"{level}+ of 255" if level == ERROR_TOP else str(level)
        anchor = "ra" if level == ERROR_TOP else "la" if level == 0 else "ma"
        draw.text((x + width * level / ERROR_TOP, y + 16), words, fill=_PALE, font=load_font(), anchor=anchor)


def _draw_legend(draw: "ImageDraw.ImageDraw", place: tuple[int, int], found: bool) -> None:
    """Draw the colours of the masks with their names."""
    x, y = place
    entries = (("found", HIT), ("false", FALSE), ("missed", MISSED)) if found else (("distorted", HIT),)
    for words, colour in entries:
        draw.rectangle((x, y, x + 12, y + 12), fill=colour, outline=_PALE)
        draw.text((x + 20, y - 2), words, fill=_PALE, font=load_font())
        x += 20 + round(draw.textlength(words, font=load_font())) + 18


def _write(draw: "ImageDraw.ImageDraw", place: tuple[int, int], title: str, note: str, width: int) -> None:
    """Write a title and a paler note behind it.

    Text that would run into the next cell is cut off.
    """
    x, y = place
    end = x + width
    for words, colour in ((title, _INK), (note, _PALE)):
        words = words.encode("ascii", "replace").decode()
        while words and x + draw.textlength(words, font=load_font()) > end:
            words = words[:-1]
        draw.text((x, y), words, fill=colour, font=load_font())
        x += round(draw.textlength(words, font=load_font())) + 10

"""Pictures of a measured picture: before, restored, truth, where the errors are, and what was found."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .comparison import Measured
from .mask_evaluation import Located
from .metrics import PSNR_CAP
from .protocols import Protocol

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

ERROR_TOP = 64
"""Levels of 255 at which the colours of an error map end: the same for every picture, so that maps compare."""

SCALE_WORDS = f"largest difference of the three channels, black 0 to pale yellow {ERROR_TOP} and more of 255"

MASK_WORDS = "white found, orange false, blue missed"

WIDEST = 640
"""Pixels: larger pictures are shown smaller, and very small ones enlarged, pixel by pixel, to `SMALLEST` or more."""
SMALLEST = 240

# Ten colours of matplotlib's "inferno" (CC0): even in lightness, so that they read in gray and for the colour-blind.
_RAMP = ("000004", "1b0c41", "4a0c6b", "781c6d", "a52c60", "cf4446", "ed6925", "fb9b06", "f7d13d", "fcffa4")
_HIT, _FALSE, _MISSED = (255, 255, 255), (242, 142, 43), (66, 133, 220)
_NOTHING = (24, 24, 28)
_INK, _PALE = (30, 30, 34), (110, 110, 118)
_GAP, _LINE, _FOOT, _TEXT = 14, 26, 40, 15  # pixels; the last is the size of the letters
_CELL = 300  # pixels: narrowest cell, so that its words fit


class _Panel(NamedTuple):
    title: str
    note: str
    picture: "Image.Image"


def error_levels(picture: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Uint8 [H, W]: the largest channel's difference of two pictures [H, W, 3] 0..1, in levels of 255."""
    return np.rint(np.clip(np.abs(picture - target).max(axis=2), 0, 1) * 255).astype(np.uint8)


def colour_errors(levels: np.ndarray) -> np.ndarray:
    """Uint8 [H, W] to uint8 [H, W, 3] by `SCALE_WORDS`."""
    return _palette()[levels]


def colour_masks(predicted: np.ndarray | None, truth: np.ndarray) -> np.ndarray:
    """Two bool masks [H, W] as uint8 [H, W, 3] by `MASK_WORDS`; the true one alone in white."""
    found = truth if predicted is None else predicted
    colours = np.empty((*truth.shape, 3), np.uint8)
    colours[...] = _NOTHING
    for where, colour in ((found & truth, _HIT), (found & ~truth, _FALSE), (truth & ~found, _MISSED)):
        colours[where] = colour
    return colours


def draw_montage(measured: Measured, protocol: Protocol, model: str) -> np.ndarray:
    """One picture that shows a restoration: uint8 [H, W, 3].

    Above before, restored and truth, with the PSNR of the protocol or the Lab error over all pixels; below the errors
    of the first two and the masks. Letters beyond ASCII come out as "?": the built-in font lacks most of them.
    """
    from PIL import ImageDraw

    sheet, cell = _draw_panels(_panels(measured, protocol), measured.row, f"restored by {model}")
    draw, foot = ImageDraw.Draw(sheet), sheet.height - _FOOT - _GAP // 2
    _draw_scale(draw, (_GAP, foot), min(2 * cell + _GAP, 640))
    _draw_legend(draw, (_GAP + 2 * (cell + _GAP), foot), measured.predicted is not None)
    return np.array(sheet)


def draw_mask_montage(located: Located, model: str) -> np.ndarray:
    """One picture that shows what was found, uint8 [H, W, 3]: the photograph, and the masks by `MASK_WORDS`."""
    from PIL import ImageDraw

    row, masks = located.row, colour_masks(located.predicted, located.truth)
    note = f"{100 * row['density']:.1f} %, IoU {row['mask']['iou']:.2f}, BER {100 * row['mask']['ber']:.1f} %"
    panels = (
        _Panel("before", f"true {100 * row['true_density']:.1f} %", _show(_levels(located.image))),
        _Panel("found mask", note, _show(masks)),
    )
    sheet, cell = _draw_panels((panels,), row, f"searched by {model}")
    foot = sheet.height - _FOOT - _GAP // 2
    _draw_legend(ImageDraw.Draw(sheet), (_GAP + cell + _GAP, foot), found=True)
    return np.array(sheet)


def draw_parts(measured: Measured) -> dict[str, np.ndarray]:
    """The same as pictures of their own at full size: restored, error, mask; uint8 [H, W, 3]."""
    return {
        "restored": _levels(measured.restored),
        "error": colour_errors(error_levels(measured.restored, measured.target)),
        "mask": colour_masks(measured.predicted, measured.truth),
    }


def draw_mask_parts(located: Located) -> dict[str, np.ndarray]:
    """The found mask as a picture of its own at full size; uint8 [H, W, 3]."""
    return {"mask": colour_masks(located.predicted, located.truth)}


def _draw_panels(rows: Sequence[Sequence[_Panel]], row: dict[str, Any], note: str) -> tuple["Image.Image", int]:
    """A sheet with the panels below the picture's name, above room for a foot; and the width of a cell in pixels."""
    from PIL import Image, ImageDraw

    shown, columns = rows[0][0].picture, len(rows[0])
    cell, height = max(_CELL, shown.width), shown.height + _LINE
    size = (columns * (cell + _GAP) + _GAP, _GAP + _LINE + len(rows) * (height + _GAP) + _FOOT)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    _write(draw, (_GAP, _GAP), f"{row['name']}, {row['width']}x{row['height']}", note, columns * cell)
    for down, panels in enumerate(rows):
        for right, panel in enumerate(panels):
            x, y = _GAP + right * (cell + _GAP), _GAP + _LINE + down * (height + _GAP)
            _write(draw, (x, y), panel.title, panel.note, cell)
            sheet.paste(panel.picture, (x, y + _LINE))
    return sheet, cell


def _panels(measured: Measured, protocol: Protocol) -> Sequence[Sequence[_Panel]]:
    row = measured.row
    errors = [error_levels(picture, measured.target) for picture in (measured.image, measured.restored)]
    masks = colour_masks(measured.predicted, measured.truth)
    found = f"true {100 * row['true_density']:.1f} %"
    if row["mask"] is not None:
        found = f"{100 * row['density']:.1f} %, {found}, IoU {row['mask']['iou']:.2f}"
    return (
        (
            _Panel("before", _score(row["input"], protocol), _show(_levels(measured.image))),
            _Panel("restored", _score(row, protocol), _show(_levels(measured.restored))),
            _Panel("truth", "", _show(_levels(measured.target))),
        ),
        (
            *(
                _Panel(title, f"mean {levels.mean():.1f} of 255", _show(levels, errors=True))
                for title, levels in zip(("error before", "error after"), errors, strict=True)
            ),
            _Panel("true mask" if measured.predicted is None else "found mask", found, _show(masks)),
        ),
    )


def _score(measures: dict[str, Any], protocol: Protocol) -> str:
    if protocol.lab:
        return f"Lab error {measures['rmse']['all']:.2f}"
    value = measures[protocol.psnr]
    return "identical" if value >= PSNR_CAP else f"{value:.2f} dB"


def _levels(picture: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _show(pixels: np.ndarray, errors: bool = False) -> "Image.Image":
    """A picture at the size it is shown; errors are coloured after that, since colours do not average."""
    from PIL import Image

    image = Image.fromarray(pixels)
    longest = max(image.size)
    if longest > WIDEST:
        width, height = (max(1, round(side * WIDEST / longest)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BOX if errors else Image.Resampling.LANCZOS)
    elif longest < SMALLEST:
        factor = -(-SMALLEST // longest)
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    return Image.fromarray(colour_errors(np.asarray(image))) if errors else image


def _draw_scale(draw: "ImageDraw.ImageDraw", place: tuple[int, int], width: int) -> None:
    """The colours of the error maps with their levels."""
    x, y = place
    for column in range(width):
        draw.line((x + column, y, x + column, y + 12), fill=tuple(_palette()[round(column / (width - 1) * ERROR_TOP)]))
    for level in range(0, ERROR_TOP + 1, 16):
        words = f"{level}+ of 255" if level == ERROR_TOP else str(level)
        anchor = "ra" if level == ERROR_TOP else "la" if level == 0 else "ma"
        draw.text((x + width * level / ERROR_TOP, y + 16), words, fill=_PALE, font=_font(), anchor=anchor)


def _draw_legend(draw: "ImageDraw.ImageDraw", place: tuple[int, int], found: bool) -> None:
    x, y = place
    entries = (("found", _HIT), ("false", _FALSE), ("missed", _MISSED)) if found else (("distorted", _HIT),)
    for words, colour in entries:
        draw.rectangle((x, y, x + 12, y + 12), fill=colour, outline=_PALE)
        draw.text((x + 20, y - 2), words, fill=_PALE, font=_font())
        x += 20 + round(draw.textlength(words, font=_font())) + 18


def _write(draw: "ImageDraw.ImageDraw", place: tuple[int, int], title: str, note: str, width: int) -> None:
    """A title and a paler note behind it, cut where they would run into the next cell."""
    x, y = place
    end = x + width
    for words, colour in ((title, _INK), (note, _PALE)):
        words = words.encode("ascii", "replace").decode()
        while words and x + draw.textlength(words, font=_font()) > end:
            words = words[:-1]
        draw.text((x, y), words, fill=colour, font=_font())
        x += round(draw.textlength(words, font=_font())) + 10


@cache
def _font() -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(_TEXT)  # inside Pillow: no font of the system is needed


@cache
def _palette() -> np.ndarray:
    """Uint8 [256, 3]: the colour of each level."""
    ramp = np.array([list(bytes.fromhex(colour)) for colour in _RAMP], np.float64)
    place = np.minimum(np.arange(256), ERROR_TOP) / ERROR_TOP * (len(ramp) - 1)
    channels = [np.interp(place, np.arange(len(ramp)), ramp[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)

"""Alignment and resizing of pictures before they are measured."""

import math
from typing import NamedTuple

import numpy as np

from ...runtime.errors import UserError

STEP = 0.25
"""Pixels between the shifts that are tried, as in the evaluation code of Levin et al. (CVPR 2009)."""


class Aligned(NamedTuple):
    """A picture shifted to where it fits its target best."""

    image: np.ndarray
    """Picture [H - 2 crop, W - 2 crop, 3], interpolated linearly between pixels."""
    shift: tuple[float, float]
    """Pixels down and right from the target's pixel to the place where the picture was sampled."""


def largest_shift(crop: int) -> int:
    """Return the largest shift that is tried, in pixels.

    It is a third of the border `crop` (Levin et al.: 5 of 15).
    """
    return crop // 3


def crop_border(picture: np.ndarray, crop: int) -> np.ndarray:
    """Cut a border off a picture.

    Args:
        picture: [H, W, ...].
        crop: pixels to cut off every side.

    Raises:
        UserError: no pixel would be left.
    """
    height, width = picture.shape[:2]
    if min(height, width) <= 2 * crop:
        raise UserError(
            f"a picture of {width}x{height} is too small for a shift of {crop}, which crops {crop} pixels on every "
            "side; give a smaller one, or none"
        )
    return picture[crop : height - crop, crop : width - crop]


def align(image: np.ndarray, target: np.ndarray, crop: int) -> Aligned:
    """Shift a picture to where it fits its target best.

    The best shift has the least mean squared error on the inside of the target. Blind deblurring may shift picture and
    kernel against each other, so the pictures of Levin et al. are compared up to a shift. Whole pixels are tried first,
    then quarters around the best: the error is smooth between them.

    Args:
        image: [H, W, 3].
        target: [H, W, 3].
        crop: border in pixels, which bounds the shift (`largest_shift`).

    Raises:
        UserError: the picture is too small for the crop.
    """
    inside, values = crop_border(target, crop).astype(np.float64), image.astype(np.float64)
    most = largest_shift(crop)

    def error(shift: tuple[float, float]) -> float:
        return float(np.mean(np.square(_sample(values, shift, crop) - inside)))

    whole = [float(offset) for offset in range(-most, most + 1)]
    down, right = min(((y, x) for y in whole for x in whole), key=error)
    fine = [float(offset) for offset in np.arange(-1, 1 + STEP, STEP)]
    near = [(down + y, right + x) for y in fine for x in fine if max(abs(down + y), abs(right + x)) <= most]
    best = min(near, key=error)
    return Aligned(_sample(values, best, crop).astype(image.dtype), best)


def move_mask(mask: np.ndarray, shift: tuple[float, float], crop: int) -> np.ndarray:
    """Cut out the mask of an aligned picture.

    The shift of the mask [H, W] is rounded to whole pixels.
    """
    down, right = (math.floor(offset + 0.5) for offset in shift)
    return _sample(mask, (down, right), crop)


def _sample(values: np.ndarray, shift: tuple[float, float], crop: int) -> np.ndarray:
    """Sample the inside of a picture at a shift.

    The shift is less than `crop`. Values between pixels are interpolated linearly.
    """
    for axis, offset in enumerate(shift):
        side = values.shape[axis] - 2 * crop
        start = crop + math.floor(offset)
        part = offset - math.floor(offset)
        first = _take(values, axis, start, side)
        values = first if part == 0 else (1 - part) * first + part * _take(values, axis, start + 1, side)
    return values


def _take(values: np.ndarray, axis: int, start: int, count: int) -> np.ndarray:
    return values[start : start + count] if axis == 0 else values[:, start : start + count]


def resize(image: np.ndarray, side: int) -> np.ndarray:
    """Resize a picture on the grid of an 8-bit file.

    The filter is bicubic and smooths where it shrinks. Pillow's bicubic filter equals the one of MATLAB's `imresize` (a
    = -0.5, widened when shrinking). It works on 8-bit pictures, as the scripts behind the shadow tables at 256x256 do.

    Args:
        image: [H, W, 3], 0..1.
        side: side of the square in pixels.

    Returns:
        float32 [side, side, 3], 0..1.
    """
    from PIL import Image

    levels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    resized = Image.fromarray(levels).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(resized, np.float32) / np.float32(255)


def resize_mask(mask: np.ndarray, side: int) -> np.ndarray:
    """Resize a bool mask [H, W] to bool [side, side].

    The result is true where the resized mask is above zero, as in the scripts behind the shadow tables.
    """
    from PIL import Image

    levels = Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(levels) > 0

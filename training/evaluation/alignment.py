"""Putting two pictures side by side before they are measured: aligned by a search of shifts, or resized."""

import math
from typing import NamedTuple

import numpy as np

from ...runtime.errors import UserError

STEP = 0.25
"""Pixels between the shifts that are tried, as in the evaluation code of Levin et al. (CVPR 2009)."""


class Aligned(NamedTuple):
    """A picture as it lies best on its target."""

    image: np.ndarray
    """[H - 2 crop, W - 2 crop, 3], sampled between pixels linearly."""
    shift: tuple[float, float]
    """Pixels down and right from where the target's pixel is to where the picture's was taken."""


def largest_shift(crop: int) -> int:
    """Pixels tried in each direction with a border of `crop`: a third of it (Levin et al.: 5 of 15)."""
    return crop // 3


def crop_border(picture: np.ndarray, crop: int) -> np.ndarray:
    """[H, W, ...] without `crop` pixels on every side.

    Raises:
        UserError: nothing would be left.
    """
    height, width = picture.shape[:2]
    if min(height, width) <= 2 * crop:
        raise UserError(
            f"a picture of {width}x{height} is too small for a shift of {crop}, which crops {crop} pixels on every "
            "side; give a smaller one, or none"
        )
    return picture[crop : height - crop, crop : width - crop]


def align(image: np.ndarray, target: np.ndarray, crop: int) -> Aligned:
    """Lay `image` on the inside of `target` (both [H, W, 3]) with the least mean squared error.

    Blind deblurring is free to shift picture and kernel against each other, so the pictures of Levin et al. are
    compared up to a shift. Whole pixels first, then quarters around the best: the error is smooth in between.

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
    """The inside of a mask [H, W] that belongs to a picture aligned by `shift`, to whole pixels."""
    down, right = (math.floor(offset + 0.5) for offset in shift)
    return _sample(mask, (down, right), crop)


def _sample(values: np.ndarray, shift: tuple[float, float], crop: int) -> np.ndarray:
    """The inside of a picture, taken between pixels at a shift of less than `crop`."""
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
    """[H, W, 3] 0..1 to float32 [side, side, 3] on the 8-bit grid: bicubic, smoothed where it shrinks.

    Pillow's bicubic filter is that of MATLAB's `imresize` (a = -0.5, widened when shrinking), on 8-bit pictures as in
    the scripts that the shadow tables at 256x256 come from.
    """
    from PIL import Image

    levels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    resized = Image.fromarray(levels).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(resized, np.float32) / np.float32(255)


def resize_mask(mask: np.ndarray, side: int) -> np.ndarray:
    """Bool [H, W] to bool [side, side]: true where the resized mask is above zero, as those scripts take it."""
    from PIL import Image

    levels = Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(levels) > 0

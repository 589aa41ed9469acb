"""Maps of errors and masks at full size."""

from functools import cache

import numpy as np

from ..comparison import Measured
from ..masks import Located

ERROR_TOP = 64
"""Levels of 255 at which the colours of an error map end.

They are the same for every picture, so that maps can be compared.
"""

SCALE_WORDS = f"largest difference of the three channels, black 0 to pale yellow {ERROR_TOP} and more of 255"
"""Explanation of the colours of error maps, for reports."""

MASK_WORDS = "white found, orange false, blue missed"
"""Explanation of the colours of masks, for reports."""

# Ten colours of matplotlib's "inferno" (CC0): even in lightness, so that they read in gray and for the colour-blind.
_RAMP = ("000004", "1b0c41", "4a0c6b", "781c6d", "a52c60", "cf4446", "ed6925", "fb9b06", "f7d13d", "fcffa4")
HIT, FALSE, MISSED = (255, 255, 255), (242, 142, 43), (66, 133, 220)
"""RGB colours of pixels that are found and true, found only, and true only."""
NOTHING = (24, 24, 28)
"""RGB colour of pixels that are neither found nor true."""


def to_levels(picture: np.ndarray) -> np.ndarray:
    """Convert float 0..1 to uint8, rounded."""
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def error_levels(picture: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Compute the error of each pixel in levels of 255.

    Args:
        picture: [H, W, 3], 0..1.
        target: [H, W, 3], 0..1.

    Returns:
        uint8 [H, W], the difference in the channel where it is largest.
    """
    return np.rint(np.clip(np.abs(picture - target).max(axis=2), 0, 1) * 255).astype(np.uint8)


def colour_errors(levels: np.ndarray) -> np.ndarray:
    """Colour error levels by `SCALE_WORDS`.

    Args:
        levels: uint8 [H, W].

    Returns:
        uint8 [H, W, 3].
    """
    return palette()[levels]


def colour_masks(predicted: np.ndarray | None, truth: np.ndarray) -> np.ndarray:
    """Colour a found and a true mask by `MASK_WORDS`.

    Args:
        predicted: bool [H, W]; without it the true mask is drawn in white.
        truth: bool [H, W].

    Returns:
        uint8 [H, W, 3].
    """
    found = truth if predicted is None else predicted
    colours = np.empty((*truth.shape, 3), np.uint8)
    colours[...] = NOTHING
    for where, colour in ((found & truth, HIT), (found & ~truth, FALSE), (truth & ~found, MISSED)):
        colours[where] = colour
    return colours


def draw_parts(measured: Measured) -> dict[str, np.ndarray]:
    """Draw the restored picture, its error map and its mask.

    All are uint8 [H, W, 3] at full size.
    """
    return {
        "restored": to_levels(measured.restored),
        "error": colour_errors(error_levels(measured.restored, measured.target)),
        "mask": colour_masks(measured.predicted, measured.truth),
    }


def draw_mask_parts(located: Located) -> dict[str, np.ndarray]:
    """Draw the found mask at full size.

    It is uint8 [H, W, 3].
    """
    return {"mask": colour_masks(located.predicted, located.truth)}


@cache
def palette() -> np.ndarray:
    """Return the colour of each level, uint8 [256, 3]."""
    ramp = np.array([list(bytes.fromhex(colour)) for colour in _RAMP], np.float64)
    place = np.minimum(np.arange(256), ERROR_TOP) / ERROR_TOP * (len(ramp) - 1)
    channels = [np.interp(place, np.arange(len(ramp)), ramp[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)

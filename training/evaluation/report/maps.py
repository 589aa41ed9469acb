"""Pictures of a measured picture at its own size: restored, where the errors are, what was found."""

from functools import cache

import numpy as np

from ..comparison import Measured
from ..masks import Located

ERROR_TOP = 64
"""Levels of 255 at which the colours of an error map end: the same for every picture, so that maps compare."""

SCALE_WORDS = f"largest difference of the three channels, black 0 to pale yellow {ERROR_TOP} and more of 255"

MASK_WORDS = "white found, orange false, blue missed"

# Ten colours of matplotlib's "inferno" (CC0): even in lightness, so that they read in gray and for the colour-blind.
_RAMP = ("000004", "1b0c41", "4a0c6b", "781c6d", "a52c60", "cf4446", "ed6925", "fb9b06", "f7d13d", "fcffa4")
HIT, FALSE, MISSED = (255, 255, 255), (242, 142, 43), (66, 133, 220)
NOTHING = (24, 24, 28)


def to_levels(picture: np.ndarray) -> np.ndarray:
    """Float 0..1 to uint8, rounded."""
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def error_levels(picture: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Uint8 [H, W]: the largest channel's difference of two pictures [H, W, 3] 0..1, in levels of 255."""
    return np.rint(np.clip(np.abs(picture - target).max(axis=2), 0, 1) * 255).astype(np.uint8)


def colour_errors(levels: np.ndarray) -> np.ndarray:
    """Uint8 [H, W] to uint8 [H, W, 3] by `SCALE_WORDS`."""
    return palette()[levels]


def colour_masks(predicted: np.ndarray | None, truth: np.ndarray) -> np.ndarray:
    """Two bool masks [H, W] as uint8 [H, W, 3] by `MASK_WORDS`; the true one alone in white."""
    found = truth if predicted is None else predicted
    colours = np.empty((*truth.shape, 3), np.uint8)
    colours[...] = NOTHING
    for where, colour in ((found & truth, HIT), (found & ~truth, FALSE), (truth & ~found, MISSED)):
        colours[where] = colour
    return colours


def draw_parts(measured: Measured) -> dict[str, np.ndarray]:
    """Restored, error and mask at full size; uint8 [H, W, 3]."""
    return {
        "restored": to_levels(measured.restored),
        "error": colour_errors(error_levels(measured.restored, measured.target)),
        "mask": colour_masks(measured.predicted, measured.truth),
    }


def draw_mask_parts(located: Located) -> dict[str, np.ndarray]:
    """The found mask at full size; uint8 [H, W, 3]."""
    return {"mask": colour_masks(located.predicted, located.truth)}


@cache
def palette() -> np.ndarray:
    """Uint8 [256, 3]: the colour of each level."""
    ramp = np.array([list(bytes.fromhex(colour)) for colour in _RAMP], np.float64)
    place = np.minimum(np.arange(256), ERROR_TOP) / ERROR_TOP * (len(ramp) - 1)
    channels = [np.interp(place, np.arange(len(ramp)), ramp[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)

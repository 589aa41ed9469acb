"""Masks under which tilings are timed."""

from __future__ import annotations

import numpy as np

from ....runtime.profiling.masks import make_mask

DENSITIES = (0.02, 0.1, 0.35, 1.0)
"""Shares of distorted pixels: light rain, drops, heavy rain, blur."""
SHAPE = "streak"
SEED = 7


def make_masks(height: int, width: int) -> list[np.ndarray]:
    """Make masks like those of real pictures.

    TensorRT times with noise in place of a mask, and so with lists of pixels that no picture has.

    Returns:
        [height, width] bool, of each of `DENSITIES`.
    """
    return [make_mask(SHAPE, height, width, density, SEED) for density in DENSITIES]

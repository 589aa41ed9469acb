"""Mask compaction, pixel by pixel: the definition."""

from __future__ import annotations

import numpy as np


def compact_mask(mask: np.ndarray) -> list[list[int]]:
    """The active pixels of every image, ascending.

    Kernels find the same pixels in an order of their own, ascending inside a block of pixels; no operator depends on
    it.

    Args:
        mask: float [N,1,H,W]; active where not 0.

    Returns:
        for each image the indices y * W + x of its active pixels.
    """
    _, _, height, width = mask.shape
    return [[y * width + x for y in range(height) for x in range(width) if image[0, y, x] != 0] for image in mask]

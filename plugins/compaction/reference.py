"""Mask compaction, defined pixel by pixel."""

from __future__ import annotations

import numpy as np


def compact_mask(mask: np.ndarray) -> list[list[int]]:
    """List the active pixels of every image in ascending order.

    Kernels find the same pixels in another order, ascending inside a block of pixels. No operator depends on the order.

    Args:
        mask: float [N,1,H,W]; a pixel is active where it is not 0.

    Returns:
        for each image the indices y * W + x of its active pixels.
    """
    _, _, height, width = mask.shape
    return [[y * width + x for y in range(height) for x in range(width) if image[0, y, x] != 0] for image in mask]

"""SparseConv2d as loops over distorted pixels: the definition, not a fast path."""

from __future__ import annotations

import numpy as np


def sparse_conv2d(
    x: np.ndarray,
    mask: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    *,
    negative_slope: float = 1.0,
    clean_input: bool = False,
) -> np.ndarray:
    """Equation (1) of SPAIR (ICCV 2021), with bias and activation.

    `out[n,:,p] = act(bias + sum_k weight[:,:,k] x[n,:,p+k])` over the neighbours p+k inside the picture whose mask is
    1 (all neighbours if `clean_input`), where mask[n,p] = 1; zeros elsewhere.

    Args:
        x: float32 [N,C,H,W].
        mask: float32 [N,1,H,W], 0 or 1.
        weight: float32 [D,C,k,k], k odd; stride 1, centred on p.
        bias: float32 [D].
        negative_slope: slope of the activation below zero: 0 is ReLU, 1 is none.
        clean_input: also read clean neighbours.

    Returns:
        float32 [N,D,H,W], accumulated in float64.
    """
    batch, _, height, width = x.shape
    radius = weight.shape[2] // 2
    out = np.zeros((batch, weight.shape[0], height, width), np.float32)
    for n, row, column in zip(*np.nonzero(mask[:, 0]), strict=True):
        total = bias.astype(np.float64)
        for dy in range(-radius, radius + 1):
            for dx in range(-radius, radius + 1):
                y, z = row + dy, column + dx
                inside = 0 <= y < height and 0 <= z < width
                if inside and (clean_input or mask[n, 0, y, z]):
                    total = total + weight[:, :, dy + radius, dx + radius].astype(np.float64) @ x[n, :, y, z]
        out[n, :, row, column] = np.where(total < 0, negative_slope * total, total)
    return out

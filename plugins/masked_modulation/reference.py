"""MaskedModulation, defined image by image and channel by channel."""

from __future__ import annotations

import numpy as np


def masked_modulation(x: np.ndarray, mask: np.ndarray, *, eps: float = 1e-5) -> np.ndarray:
    """Normalise distorted pixels to the statistics of clean ones.

    This is the spatial feature modulator of SPAIR. Where the mask is 1, `out = (x - mean1) / sqrt(var1 + eps) *
    sqrt(var0 + eps) + mean0`. mean0 and var0 are over the pixels with mask 0, mean1 and var1 over those with mask 1;
    the variances are biased. `out = x` where the mask is 0, and for images without clean or without distorted pixels.

    Args:
        x: float32 [N,C,H,W].
        mask: float32 [N,1,H,W], 0 or 1.
        eps: number added to both variances, > 0.

    Returns:
        float32 [N,C,H,W], computed in float64.
    """
    out = x.copy()
    for n in range(x.shape[0]):
        distorted = mask[n, 0] != 0
        if not distorted.any() or distorted.all():
            continue
        for c in range(x.shape[1]):
            plane = x[n, c].astype(np.float64)
            inside, outside = plane[distorted], plane[~distorted]
            scale = np.sqrt((outside.var() + eps) / (inside.var() + eps))
            out[n, c][distorted] = (inside - inside.mean()) * scale + outside.mean()
    return out

"""SparseCompose, defined by selection."""

from __future__ import annotations

import numpy as np


def sparse_compose(
    picture: np.ndarray, residual: np.ndarray, mask: np.ndarray, *, low: float = 0.0, high: float = 1.0
) -> np.ndarray:
    """Add a residual to distorted pixels, within limits.

    Where the mask is not 0, `out = min(max(picture + residual, low), high)`, and NaN stays NaN. Elsewhere `out` has the
    bits of the picture, whatever the residual holds there.

    Args:
        picture: float32 [N,C,H,W].
        residual: float32 or float16 [N,C,H,W].
        mask: float32 or float16 [N,1,H,W], 0 or 1.
        low: least value of a distorted pixel.
        high: largest value of a distorted pixel.

    Returns:
        float32 [N,C,H,W]; the sum is that of float32.
    """
    with np.errstate(invalid="ignore"):  # an infinite residual is allowed
        moved = np.clip(picture + residual.astype(np.float32), np.float32(low), np.float32(high))
    return np.where(mask != 0, moved, picture)

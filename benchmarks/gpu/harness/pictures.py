"""Pictures in rain that benchmarks on a GPU restore."""

from __future__ import annotations

import numpy as np

from spair.training.data.photos import rain_on


def draw_rain(width: int, height: int, part: float) -> np.ndarray:
    """Draw a picture [H,W,3] uint8 with rain.

    It has smooth colours, and rain from the top down to a part of the height.
    """
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    waves = [np.sin(rows / 37 + k) * np.cos(columns / (53 + 9 * k)) for k in range(3)]
    clean = ((np.stack(waves, 2) * 0.25 + 0.5) * 255).astype(np.uint8)
    end = round(part * height)
    wet = clean.copy()
    if end:
        wet[:end] = rain_on(clean, "light", [1])[:end]
    return wet

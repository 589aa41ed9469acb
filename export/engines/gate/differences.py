"""Differences between restorations of a picture, with limits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

REACH = 16
"""Distance in pixels from a pixel whose mask differs within which the largest difference is not looked at. A pixel that
one side restores and the other leaves changes what the layers around it read."""
FACTOR = 2.0
"""Number of times that an engine may differ from the reference as much as rounding makes the reference differ from
itself. 1 would be another draw of the same error, which is larger in half of all cases."""
FREE = {"unequal": 5e-4, "mse": 0.1, "worst": 1.0}
"""Differences that are always allowed.

They are a share of mask pixels; squared steps of 8 bits, since two values that are nearly equal may be rounded apart,
by one step, in some per cent of all pixels; and the one step."""
FEW = 4
"""Number of pixels whose masks may always differ. How many lie on the edge is chance where a picture is small."""
BESIDE = 1.0
"""Mean squared difference, in steps of 8 bits, that is allowed beyond that where masks are found and not given. A pixel
whose mask differs changes those around it; four of them in 25,000 made 0.2 with the shipped weights for rain."""
MOST = {"unequal": 0.05, "mse": 65.0, "worst": 64.0}
"""Differences that are never allowed, however coarse a precision is. 65 squared steps are a PSNR of 30 dB."""


@dataclass(frozen=True)
class Differences:
    """Differences of a restoration from another one."""

    unequal: float
    """Share of the pixels whose masks differ, 0..1."""
    mse: float
    """Mean squared difference in steps of 8 bits, over pixels that both restored."""
    worst: float
    """Largest difference in steps of 8 bits, over pixels that both restored and that lie farther than `REACH` pixels
    from any whose mask differs."""
    untouched: int
    """Number of pixels that both left as they were and that differ all the same."""
    restored: int
    """Number of pixels that both restored."""
    far: bool = True
    """Whether there are pixels for `worst` to be taken over."""

    @property
    def psnr(self) -> float:
        """Peak signal-to-noise ratio in dB, at most 100.

        It is taken over the pixels that both restored.
        """
        return min(100.0, 10 * math.log10(255.0**2 / max(self.mse, 1e-9)))

    def to_json(self) -> dict[str, float]:
        """Return the values by name, with "psnr"."""
        return {
            "unequal": round(self.unequal, 8),
            "mse": round(self.mse, 4),
            "psnr": round(self.psnr, 2),
            "worst": round(self.worst, 2),
            "untouched": self.untouched,
            "restored": self.restored,
        }


def measure(
    found: tuple[np.ndarray, np.ndarray], expected: tuple[np.ndarray, np.ndarray], *, gated: bool
) -> Differences:
    """Compare two restorations of a picture.

    Args:
        found: picture [H, W, 3], uint8 or float in steps of 8 bits, and mask [H, W] bool.
        expected: the same of the reference.
        gated: whether the network leaves pixels outside of its mask as they are.
    """
    both = found[1] & expected[1] if gated else np.ones_like(found[1])
    neither = ~found[1] & ~expected[1] if gated else np.zeros_like(found[1])
    unequal = found[1] != expected[1]
    error = np.abs(found[0].astype(np.float64) - expected[0].astype(np.float64)).max(axis=2)
    squares = (found[0].astype(np.float64) - expected[0].astype(np.float64))[both] ** 2
    far = both & ~_grow(unequal, REACH)
    return Differences(
        float(unequal.mean()),
        float(squares.mean()) if squares.size else 0.0,
        float(error[far].max()) if far.any() else 0.0,
        int((error[neither] > 0).sum()),
        int(both.sum()),
        bool(far.any()),
    )


def list_limits(natural: Differences, pixels: int, *, given: bool) -> dict[str, float]:
    """Derive the allowed differences of an engine.

    Args:
        natural: how much the reference differs from itself where it rounds otherwise.
        pixels: number of pixels of the picture.
        given: whether the mask was given, so that no pixel of it may differ.

    Returns:
        Limits of "unequal", "mse", "worst" and "untouched".
    """
    limits = {
        "unequal": FREE["unequal"] + FACTOR * natural.unequal,
        "mse": FREE["mse"] + FACTOR**2 * natural.mse,
        "worst": FREE["worst"] + FACTOR * natural.worst if natural.far else MOST["worst"],  # unknown, then
    }
    if not given:
        limits["mse"] += BESIDE
    limits = {name: min(value, MOST[name]) for name, value in limits.items()}
    limits["unequal"] = 0.0 if given else max(limits["unequal"], FEW / pixels)
    return {**limits, "untouched": 0.0}


def _grow(mask: np.ndarray, reach: int) -> np.ndarray:
    """Add the square of pixels around each True pixel."""
    for axis in (0, 1):
        grown = mask.copy()
        for step in range(1, min(reach, mask.shape[axis] - 1) + 1):
            ahead = [slice(None)] * 2
            behind = [slice(None)] * 2
            ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
            grown[tuple(ahead)] |= mask[tuple(behind)]
            grown[tuple(behind)] |= mask[tuple(ahead)]
        mask = grown
    return mask

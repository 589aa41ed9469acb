"""Generator of masks with an exact density.

Their shapes are like those of real distortions. They serve measurements and tests.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import UserError

LARGEST_FORM = 6000
"""Pixels, more than any single form has; a disc of radius 40 covers 5,025."""

NEARLY_FULL = 0.9
"""Density above which the clean pixels are drawn instead, because hardly any form would still hit one by chance."""


def make_mask(shape: str, height: int, width: int, density: float, seed: int = 0) -> np.ndarray:
    """Make a mask with a given share of distorted pixels.

    Args:
        shape: "streak" (thin, nearly upright lines, like rain), "blob" (discs, like raindrops), "shadow" (one large
            form) or "uniform" (single pixels, the worst case for methods that rely on neighbours).
        height: height of the mask in pixels, at least 1.
        width: width of the mask in pixels, at least 1.
        density: share of distorted pixels, 0..1.
        seed: seed of the random numbers; equal seeds give equal masks.

    Returns:
        [height, width] bool with round(density * height * width) True values.

    Raises:
        UserError: the shape is unknown, or the density is outside of 0..1.
    """
    if shape not in SHAPES:
        raise UserError(f"there is no mask of shape {shape!r}; choose from {', '.join(SHAPES)}")
    if not 0.0 <= density <= 1.0:
        raise UserError(f"the density of a mask is {density:g}, expected 0 to 1")
    count = round(density * height * width)
    if count in (0, height * width):
        return np.full((height, width), bool(count))
    return SHAPES[shape](height, width, count, np.random.default_rng(seed))


def _streaks(height: int, width: int, count: int, random: np.random.Generator) -> np.ndarray:
    """Draw lines of nearly one direction.

    They are 20 to 60 pixels long and 1 to 3 pixels wide, and differ by a few degrees.
    """
    fall = np.deg2rad(random.uniform(65.0, 115.0))

    def draw(mask: np.ndarray) -> None:
        angle = fall + np.deg2rad(random.normal(0.0, 4.0))
        steps = np.arange(random.integers(20, 61))
        top, left = random.uniform(-40.0, height), random.uniform(-20.0, width + 20.0)
        rows = np.floor(top + steps * np.sin(angle)).astype(int)
        columns = np.floor(left + steps * np.cos(angle)).astype(int)
        for shift in range(random.integers(1, 4)):
            inside = (rows >= 0) & (rows < height) & (columns + shift >= 0) & (columns + shift < width)
            mask[rows[inside], columns[inside] + shift] = True

    return _fill(height, width, count, draw)


def _blobs(height: int, width: int, count: int, random: np.random.Generator) -> np.ndarray:
    """Draw discs of radius 6 to 40 pixels."""

    def draw(mask: np.ndarray) -> None:
        radius = int(random.integers(6, 41))
        row, column = int(random.integers(0, height)), int(random.integers(0, width))
        top, left = max(row - radius, 0), max(column - radius, 0)
        window = mask[top : row + radius + 1, left : column + radius + 1]
        down, right = np.ogrid[: window.shape[0], : window.shape[1]]
        window |= (down + top - row) ** 2 + (right + left - column) ** 2 <= radius**2

    return _fill(height, width, count, draw)


def _shadow(height: int, width: int, count: int, random: np.random.Generator) -> np.ndarray:
    """Draw one leaning ellipse with a wavy edge."""
    down, right = np.mgrid[:height, :width].astype(np.float32)
    down, right = down - random.uniform(0.2, 0.8) * height, right - random.uniform(0.2, 0.8) * width
    turn, stretch = random.uniform(0.0, np.pi), random.uniform(1.2, 2.5)
    along, across = down * np.sin(turn) + right * np.cos(turn), down * np.cos(turn) - right * np.sin(turn)
    waves = 1.0 + 0.15 * np.sin(5.0 * np.arctan2(across, along) + random.uniform(0.0, 6.0))
    distance = np.hypot(along / stretch, across) * waves
    return _lowest(distance, count)


def _uniform(height: int, width: int, count: int, random: np.random.Generator) -> np.ndarray:
    return _lowest(random.random((height, width), dtype=np.float32), count)


def _fill(height: int, width: int, count: int, draw: Callable[[np.ndarray], None]) -> np.ndarray:
    """Draw forms until exactly `count` pixels are covered.

    Surplus pixels of the last form are removed. If nearly all pixels are wanted, the forms are the clean pixels.
    """
    if count > NEARLY_FULL * height * width:
        return ~_fill(height, width, height * width - count, draw)
    mask = np.zeros((height, width), dtype=bool)
    before = mask.copy()
    covered = 0
    while covered < count:
        # Counting takes long, so as many forms are drawn before it as cannot cover too many pixels.
        several = (count - covered) // LARGEST_FORM
        if not several:
            before[...] = mask
        for _ in range(max(several, 1)):
            draw(mask)
        covered = int(np.count_nonzero(mask))
    surplus = covered - count
    if surplus:
        added = np.flatnonzero(mask & ~before)
        mask.flat[added[len(added) - surplus :]] = False
    return mask


def _lowest(values: np.ndarray, count: int) -> np.ndarray:
    mask = np.zeros(values.size, dtype=bool)
    mask[np.argpartition(values.reshape(-1), count - 1)[:count]] = True
    return mask.reshape(values.shape)


SHAPES = {"streak": _streaks, "blob": _blobs, "shadow": _shadow, "uniform": _uniform}
"""Generators by name; each takes (height, width, count, random) and gives [height, width] bool with `count` True."""

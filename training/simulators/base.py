"""Parts shared by the simulators.

They are the result with its mask, the conversion to linear light, and smooth noise.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple, Protocol

import numpy as np

VISIBLE = 8.5 / 255.0
"""Change of a channel, 0..1, above which a pixel counts as distorted.

It is 8.5 steps of an 8-bit picture: a change of 8 steps does not count, a change of 9 does.
"""


class Degraded(NamedTuple):
    """A degraded picture and its true mask."""

    image: np.ndarray
    """Picture, HxWx3 float32 RGB 0..1."""
    mask: np.ndarray
    """Mask, HxW bool: true where the simulator put a visible distortion."""


@dataclasses.dataclass(frozen=True)
class Simulator:
    """One kind of degradation with everything needed to draw it."""

    task: str
    """Name of the task: rain, raindrop, shadow or blur."""
    margin: int
    """Pixels of context that the simulator wants on every side of a crop."""
    simulate: Simulate
    """Function that draws a random degradation and applies it."""


class Simulate(Protocol):
    """Function that degrades a picture.

    The same state of the generator gives the same bytes.
    """

    def __call__(self, image: np.ndarray, rng: np.random.Generator, margin: int = 0) -> Degraded:
        """Degrade a picture.

        Args:
            image: HxWx3 float32 RGB 0..1, of any size.
            rng: source of everything that is drawn.
            margin: pixels on every side that serve as context only; the result does not contain them.
        """


def crop(degraded: Degraded, margin: int) -> Degraded:
    """Cut the margin off a degraded picture and its mask."""
    inner = find_inner(degraded.mask, margin)
    return Degraded(degraded.image[inner], degraded.mask[inner])


def find_inner(picture: np.ndarray, margin: int) -> tuple[slice, slice]:
    """Find the rows and columns inside a picture's margin."""
    height, width = picture.shape[:2]
    return slice(margin, height - margin), slice(margin, width - margin)


def find_visible(degraded: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Mark the pixels whose degradation is visible.

    Args:
        degraded: HxWx3 float, 0..1.
        clean: HxWx3 float, 0..1.

    Returns:
        HxW bool, true where some channel differs by more than `VISIBLE`.
    """
    return (np.abs(degraded - clean) > VISIBLE).any(axis=2)


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """Convert sRGB 0..1 to linear light 0..1, float32 (IEC 61966-2-1)."""
    srgb = srgb.astype(np.float32, copy=False)
    return np.where(srgb <= 0.04045, srgb / np.float32(12.92), ((srgb + np.float32(0.055)) / np.float32(1.055)) ** 2.4)


def from_linear(linear: np.ndarray) -> np.ndarray:
    """Convert linear light 0..1 to sRGB 0..1, float32.

    This is the inverse of `to_linear`.
    """
    linear = linear.astype(np.float32, copy=False)
    powered = np.float32(1.055) * np.maximum(linear, 0.003) ** np.float32(1 / 2.4) - np.float32(0.055)
    return np.where(linear <= 0.0031308, linear * np.float32(12.92), powered)


def draw_smooth_noise(rng: np.random.Generator, height: int, width: int, scale: float) -> np.ndarray:
    """Draw smooth normal noise of unit variance, HxW float32.

    The features are about `scale` pixels wide. The variance is the same in every pixel. The noise is a grid of normal
    numbers under uniform cubic B-splines.
    """
    rows, columns = (spline_weights(size, scale, rng.random()) for size in (height, width))
    grid = rng.standard_normal((rows.shape[1], columns.shape[1]), np.float32)
    return rows @ grid @ columns.T / np.float32(151 / 315)  # the squared weights of a B-spline average 151/315 per axis


def spline_weights(size: int, scale: float, offset: float) -> np.ndarray:
    """Compute the weight of each control point in each sample.

    Args:
        size: number of samples.
        scale: samples between two control points, above 0.
        offset: phase of the first sample in units of `scale`, 0..1.

    Returns:
        [size, n] float32 for n control points; the rows sum to 1.
    """
    place = offset + np.arange(size) / scale
    first = np.floor(place).astype(np.int64)
    t = place - first
    weights = np.zeros((size, int(first[-1]) + 4), np.float32)
    parts = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    for shift, part in enumerate(parts):
        weights[np.arange(size), first + shift] = part / 6
    return weights


def draw_log(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform.

    It lies between low and high, and every scale is as likely as another.
    """
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))

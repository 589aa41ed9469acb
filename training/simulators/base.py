"""What the simulators share: the result and its mask, linear light, smooth noise."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple, Protocol

import numpy as np

VISIBLE = 8.5 / 255.0
"""A pixel is distorted where some channel changed by more than this: by more than 8 steps of an 8-bit picture."""


class Degraded(NamedTuple):
    """A degraded picture and the truth about it."""

    image: np.ndarray
    """HxWx3 float32 RGB 0..1."""
    mask: np.ndarray
    """HxW bool: where the simulator put a visible distortion."""


@dataclasses.dataclass(frozen=True)
class Simulator:
    """One kind of degradation, ready to be drawn."""

    task: str
    margin: int
    """Pixels of context wanted around a crop on every side."""
    simulate: Simulate


class Simulate(Protocol):
    """Degrades a picture; the same generator state gives the same bytes."""

    def __call__(self, image: np.ndarray, rng: np.random.Generator, margin: int = 0) -> Degraded:
        """HxWx3 float32 0..1 of any size -> the same without `margin` pixels on every side, which are context alone."""


def crop(degraded: Degraded, margin: int) -> Degraded:
    """A degraded picture without its margin."""
    inner = find_inner(degraded.mask, margin)
    return Degraded(degraded.image[inner], degraded.mask[inner])


def find_inner(picture: np.ndarray, margin: int) -> tuple[slice, slice]:
    """Rows and columns of a picture without its margin."""
    height, width = picture.shape[:2]
    return slice(margin, height - margin), slice(margin, width - margin)


def find_visible(degraded: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """HxWx3 float twice -> HxW bool: where some channel differs by more than `VISIBLE`."""
    return (np.abs(degraded - clean) > VISIBLE).any(axis=2)


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB 0..1 -> linear light 0..1, float32 (IEC 61966-2-1)."""
    srgb = srgb.astype(np.float32, copy=False)
    return np.where(srgb <= 0.04045, srgb / np.float32(12.92), ((srgb + np.float32(0.055)) / np.float32(1.055)) ** 2.4)


def from_linear(linear: np.ndarray) -> np.ndarray:
    """Linear light 0..1 -> sRGB 0..1, float32; the inverse of `to_linear`."""
    linear = linear.astype(np.float32, copy=False)
    powered = np.float32(1.055) * np.maximum(linear, 0.003) ** np.float32(1 / 2.4) - np.float32(0.055)
    return np.where(linear <= 0.0031308, linear * np.float32(12.92), powered)


def draw_smooth_noise(rng: np.random.Generator, height: int, width: int, scale: float) -> np.ndarray:
    """HxW float32 normal noise of unit variance whose features are about `scale` pixels wide, wherever the crop lies.

    A grid of normal numbers under uniform cubic B-splines.
    """
    rows, columns = (spline_weights(size, scale, rng.random()) for size in (height, width))
    grid = rng.standard_normal((rows.shape[1], columns.shape[1]), np.float32)
    return rows @ grid @ columns.T / np.float32(151 / 315)  # the squared weights of a B-spline average 151/315 per axis


def spline_weights(size: int, scale: float, offset: float) -> np.ndarray:
    """[size, n] float32: weight of each of n control points, `scale` samples apart, in each sample; rows sum to 1.

    Args:
        size: number of samples.
        scale: samples between two control points, above 0.
        offset: phase of the first sample in units of `scale`, 0..1.
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
    """A number of low..high whose logarithm is uniform: every scale is as likely as another."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))

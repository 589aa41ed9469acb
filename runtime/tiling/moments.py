"""Mean and variance of many values seen piece by piece, in float64 (Chan, Golub and LeVeque, 1979)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations per channel; the neutral element has count 0."""

    count: float
    """Number of values per channel."""
    mean: np.ndarray
    """[C] float64."""
    m2: np.ndarray
    """[C] float64: sum of (x - mean)**2."""

    @classmethod
    def none(cls, channels: int) -> Moments:
        """The moments of no values."""
        return cls(0.0, np.zeros(channels), np.zeros(channels))

    def merged(self, other: Moments) -> Moments:
        """The moments of both sets of values together, without cancellation between large means."""
        count = self.count + other.count
        if self.count == 0 or other.count == 0:
            return self if other.count == 0 else other
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.count / count)
        m2 = self.m2 + other.m2 + delta**2 * (self.count * other.count / count)
        return Moments(count, mean, m2)

    @property
    def variance(self) -> np.ndarray:
        """[C] float64, biased (divided by the count); 0 for no values."""
        return self.m2 / max(self.count, 1.0)


def split_moments(values: np.ndarray, mask: np.ndarray) -> tuple[Moments, Moments]:
    """Moments of the values at mask 0 and at mask 1.

    Args:
        values: [C, n] float64, few enough to stay in the cache: three passes are made over them.
        mask: [n] float64 of 0 and 1.

    Returns:
        (clean, distorted): the moments at mask 0 and at mask 1.
    """
    pivot = values.mean(axis=1)  # near both means, so that the squares below do not cancel
    centred = values - pivot[:, None]
    squares = centred * centred

    def weighted(weights: np.ndarray) -> Moments:
        count = float(weights.sum())
        shift = centred @ weights / max(count, 1.0)
        return Moments(count, pivot + shift, np.maximum(squares @ weights - count * shift**2, 0.0))

    return weighted(1.0 - mask), weighted(mask)

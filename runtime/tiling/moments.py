"""Mean and variance of values in pieces.

The pieces are merged in float64 as Chan, Golub and LeVeque (1979) do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations per channel.

    Merging moments of count 0 changes nothing.
    """

    count: float
    """Number of values per channel."""
    mean: np.ndarray
    """[C] float64."""
    m2: np.ndarray
    """[C] float64, sum of (x - mean)**2."""

    @classmethod
    def none(cls, channels: int) -> Moments:
        """Return the moments of no values."""
        return cls(0.0, np.zeros(channels), np.zeros(channels))

    def merged(self, other: Moments) -> Moments:
        """Return the moments of both sets of values together.

        Large means do not cancel, because only their difference is squared.
        """
        count = self.count + other.count
        if self.count == 0 or other.count == 0:
            return self if other.count == 0 else other
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.count / count)
        m2 = self.m2 + other.m2 + delta**2 * (self.count * other.count / count)
        return Moments(count, mean, m2)

    @property
    def variance(self) -> np.ndarray:
        """[C] float64, divided by the count; 0 for no values."""
        return self.m2 / max(self.count, 1.0)


def split_moments(values: np.ndarray, mask: np.ndarray) -> tuple[Moments, Moments]:
    """Compute the moments of clean and of distorted values.

    Args:
        values: [C, n] float64, few enough to stay in the processor's cache, since they are read three times.
        mask: [n] float64, 0 at clean and 1 at distorted values.

    Returns:
        The moments of the clean values and those of the distorted ones.
    """
    pivot = values.mean(axis=1)  # near both means, so that the squares below do not cancel
    centred = values - pivot[:, None]
    squares = centred * centred

    def weighted(weights: np.ndarray) -> Moments:
        count = float(weights.sum())
        shift = centred @ weights / max(count, 1.0)
        return Moments(count, pivot + shift, np.maximum(squares @ weights - count * shift**2, 0.0))

    return weighted(1.0 - mask), weighted(mask)

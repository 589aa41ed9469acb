"""Costs of computing a piece packed or dense."""

from __future__ import annotations

import math
from dataclasses import dataclass

CROSSOVER = 0.5
"""Share of the work at which both paths cost the same on a processor that nothing is known of."""


@dataclass(frozen=True)
class Tuning:
    """Costs of Net_R in nanoseconds of wall clock.

    Only their ratios decide which path a piece takes.
    """

    dense_ns: float
    """Nanoseconds of the dense graph per pixel of the window."""
    packed_ns: float
    """Nanoseconds of the packed graph per pixel that is distorted at every scale."""
    window_ns: float
    """Nanoseconds of the packed graph per pixel of the window, distorted or not."""
    call_ns: float
    """Nanoseconds of either graph per call."""

    def __post_init__(self) -> None:
        costs = (self.dense_ns, self.packed_ns, self.window_ns, self.call_ns)
        if not (all(map(math.isfinite, costs)) and min(costs) >= 0 and min(costs[:2]) > 0):
            raise ValueError(f"costs must be positive and finite, got {self}")

    @classmethod
    def assumed(cls, crossover: float | None) -> Tuning:
        """Assume the costs of the development machine.

        They stand in where nothing was measured.

        Args:
            crossover: share of the work at which both paths cost the same; None for `CROSSOVER`.
        """
        dense, window = 3000.0, 120.0
        crossover = CROSSOVER if crossover is None else crossover
        return cls(dense, (dense - window) / max(crossover, 1e-6), window, 1e6)

    @property
    def crossover(self) -> float:
        """Share of the work at which both paths cost alike.

        It lies in 0..1 and is about the density if the mask is coarse.
        """
        return min(max((self.dense_ns - self.window_ns) / self.packed_ns, 0.0), 1.0)

    def dense_cost(self, pixels: float) -> float:
        """Return the nanoseconds of the dense graph on a window."""
        return self.call_ns + self.dense_ns * pixels

    def packed_cost(self, pixels: float, work: float) -> float:
        """Return the nanoseconds of the packed graph on a window.

        Args:
            pixels: number of pixels of the window.
            work: amount of work in the window, see `WorkMap`.
        """
        return self.call_ns + self.window_ns * pixels + self.packed_ns * work

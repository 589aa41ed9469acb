"""Costs of computing a piece packed or dense."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Tuning:
    """Costs of Net_R in nanoseconds of wall clock; only their ratios decide anything."""

    dense_ns: float
    """Dense graph, per pixel of the window."""
    packed_ns: float
    """Packed graph, per pixel that is distorted at every scale."""
    window_ns: float
    """Packed graph, per pixel of the window, distorted or not."""
    call_ns: float
    """Either graph, per call."""

    def __post_init__(self) -> None:
        costs = (self.dense_ns, self.packed_ns, self.window_ns, self.call_ns)
        if not (all(map(math.isfinite, costs)) and min(costs) >= 0 and min(costs[:2]) > 0):
            raise ValueError(f"costs must be positive and finite, got {self}")

    @classmethod
    def assumed(cls, crossover: float) -> Tuning:
        """Costs where nothing was measured: those of the development machine, with the given cross-over."""
        dense, window = 3000.0, 120.0
        return cls(dense, (dense - window) / max(crossover, 1e-6), window, 1e6)

    @property
    def crossover(self) -> float:
        """Share of the work (0..1, about the density if the mask is coarse) where both ways cost the same."""
        return min(max((self.dense_ns - self.window_ns) / self.packed_ns, 0.0), 1.0)

    def dense_cost(self, pixels: float) -> float:
        """Nanoseconds of the dense graph on a window."""
        return self.call_ns + self.dense_ns * pixels

    def packed_cost(self, pixels: float, work: float) -> float:
        """Nanoseconds of the packed graph on a window with an amount of work (see `WorkMap`)."""
        return self.call_ns + self.window_ns * pixels + self.packed_ns * work

"""Estimates of layers on a GPU, as intervals.

The model's numbers come from an H100 (`benchmarks.estimates.fitted`); other GPUs have the same, with their own clock,
multiprocessors, bandwidth and counted kernels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.estimates.counted import Tiles, read_tiles
from benchmarks.estimates.fitted import Fitted, fit_h100
from benchmarks.estimates.launches import ScaledMasks, cost_dense, cost_rest
from benchmarks.estimates.model import Residuals, Work
from benchmarks.estimates.steps import list_steps
from benchmarks.subjects.gpus import Gpu
from benchmarks.subjects.layers import DenseLayer, Operator
from spair.plugins.cost import Launch, NumberType

COUNTS = Path(__file__).parents[2] / "docs" / "results" / "kernel-counts.json"
STAND_INS = {100: 90, 110: 90}
"""Architectures whose kernels' code is not understood, with the one whose counts are taken instead."""


@dataclass(frozen=True)
class Estimate:
    """Time of launches, and what it lies between."""

    ms: float
    low_ms: float
    high_ms: float
    launches: int
    memory_share: float = 0.0
    """Share of the time in launches that memory holds up, 0 to 1."""

    @classmethod
    def of(cls, seconds: float, residuals: Residuals, launches: int, memory_share: float = 0.0) -> Estimate:
        """Make an estimate of a time and its factors."""
        low, high = residuals.interval(seconds)
        return cls(seconds * 1e3, low * 1e3, high * 1e3, launches, memory_share)

    def __add__(self, other: Estimate) -> Estimate:
        """Add other launches, both off to the same side."""
        total = self.ms + other.ms
        memory = (self.ms * self.memory_share + other.ms * other.memory_share) / total if total else 0.0
        return Estimate(
            total, self.low_ms + other.low_ms, self.high_ms + other.high_ms, self.launches + other.launches, memory
        )

    def as_json(self) -> dict[str, float]:
        """Return the times."""
        return {"ms": self.ms, "low_ms": self.low_ms, "high_ms": self.high_ms}


class Estimator:
    """Estimates for one GPU."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self._fitted: Fitted = fit_h100()
        self._tiles = read_counted()[STAND_INS.get(gpu.architecture, gpu.architecture)]

    def sparse(self, operators: Sequence[Operator], masks: ScaledMasks, kind: NumberType) -> Estimate:
        """Estimate plugins under a mask."""
        work = Work(self.gpu, list_steps(operators, masks, kind, self._tiles))
        efficiency = self._fitted.efficiency
        return Estimate.of(
            work.seconds(efficiency), self._fitted.sparse, len(work.memory), work.memory_share(efficiency)
        )

    def dense(self, operators: Sequence[Operator], masks: ScaledMasks, kind: NumberType) -> Estimate:
        """Estimate the same layers on all pixels."""
        return self._dense(cost_dense(operators, masks, kind))

    def rest(self, layers: Sequence[DenseLayer], kind: NumberType) -> Estimate:
        """Estimate ordinary convolutions."""
        return self._dense(cost_rest(layers, kind))

    def _dense(self, launches: Iterable[Launch]) -> Estimate:
        """Estimate dense layers from the shorter way to the longer."""
        found = list(launches)
        ways = [dense.seconds(self.gpu, found) for dense in (self._fitted.shares, self._fitted.rates)]
        low, high = min(ways) * self._fitted.dense.low, max(ways) * self._fitted.dense.high
        return Estimate(math.sqrt(ways[0] * ways[1]) * 1e3, low * 1e3, high * 1e3, len(found))


@cache
def read_counted() -> dict[int, Tiles]:
    """Read the counted kernels of the plugins by architecture."""
    content = json.loads(COUNTS.read_text(encoding="utf-8"))["tiles"]
    return {int(architecture): read_tiles(rows) for architecture, rows in content.items()}

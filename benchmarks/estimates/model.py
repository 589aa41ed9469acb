"""Model of a GPU's time, fitted to measured sums.

A launch takes a cost of its own, and then the longer of two times: that of its bytes at a share of the bandwidth, and
that of the busiest multiprocessor. Tiles are dealt out one by one. A multiprocessor issues the instructions of its
tiles on four schedulers, or multiplies on its tensor cores if that takes longer, and it does so at a share of its peak:

    seconds = launch + max(bytes / (memory * bandwidth), ceil(tiles / multiprocessors) * cycles / (issue * clock))
    cycles  = max(instructions / 4, multiply-adds / those of a cycle)

The three numbers (launch, issue, memory) are fitted to measured times; the factors that remain between these and the
model are part of it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from benchmarks.estimates.steps import CountedLaunch
from benchmarks.subjects.gpus import Gpu

SCHEDULERS = 4
"""Schedulers of a multiprocessor, each of which issues an instruction of one warp in a cycle."""


@dataclass(frozen=True)
class Efficiency:
    """Numbers of the model that are fitted."""

    launch: float
    """Seconds of a launch."""
    issue: float
    """Share of the peak at which a multiprocessor issues or multiplies, 0 to 1."""
    memory: float
    """Share of the bandwidth, 0 to 1."""


@dataclass(frozen=True)
class Residuals:
    """Factors between measured times and the model's."""

    low: float
    """Smallest of measured / model, at most 1."""
    high: float
    """Largest of measured / model, at least 1."""

    def interval(self, value: float) -> tuple[float, float]:
        """Return the interval of an estimate."""
        return value * self.low, value * self.high

    def joined(self, other: Residuals) -> Residuals:
        """Return the wider factors of both."""
        return Residuals(min(self.low, other.low), max(self.high, other.high))


@dataclass(frozen=True)
class Point:
    """Measured time of launches."""

    steps: Sequence[CountedLaunch]
    seconds: float


class Work:
    """Launches as arrays, for one GPU."""

    def __init__(self, gpu: Gpu, steps: Iterable[CountedLaunch]) -> None:
        found = list(steps)
        self.memory = np.array([step.launch.bytes / (gpu.bandwidth * 1e9) for step in found])
        cycles = [
            -(-step.blocks // gpu.multiprocessors)
            * max(step.instructions / SCHEDULERS, gpu.cycles_of_products(step.products, step.launch.kind))
            for step in found
        ]
        self.issue = np.array(cycles) / (gpu.clock * 1e9)

    def seconds(self, efficiency: Efficiency) -> float:
        """Estimate the time of all launches."""
        return float(self._longest(efficiency).sum())

    def memory_share(self, efficiency: Efficiency) -> float:
        """Compute the share of launches that memory holds up."""
        longest = self._longest(efficiency)
        held = self.memory / efficiency.memory > self.issue / efficiency.issue
        return float(longest[held].sum() / longest.sum()) if len(longest) else 0.0

    def _longest(self, efficiency: Efficiency) -> np.ndarray:
        return np.maximum(self.memory / efficiency.memory, self.issue / efficiency.issue) + efficiency.launch


def measure_residuals(ratios: Sequence[float]) -> Residuals:
    """Return the extremes of measured / model."""
    return Residuals(min(1.0, *ratios), max(1.0, *ratios))


def fit(gpu: Gpu, points: Sequence[Point]) -> Efficiency:
    """Fit the model to measured times.

    The sum of squared logarithms of measured / model is the least, with shares up to 1.
    """
    works = [Work(gpu, point.steps) for point in points]

    def judge(numbers: np.ndarray) -> float:
        efficiency = _read(numbers)
        return sum(
            math.log(point.seconds / work.seconds(efficiency)) ** 2 for point, work in zip(points, works, strict=True)
        )

    starts = [np.log([launch, 0.3, 0.6]) for launch in (1e-6, 3e-6, 1e-5)]
    found = [minimize(judge, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-10}) for start in starts]
    return _read(min(found, key=lambda result: float(result.fun)).x)


def _read(logarithms: np.ndarray) -> Efficiency:
    launch, issue, memory = np.exp(logarithms)
    return Efficiency(float(launch), min(float(issue), 1.0), min(float(memory), 1.0))


def leave_out(gpu: Gpu, points: Sequence[Point], groups: Sequence[Hashable]) -> Residuals:
    """Compare each group with a fit to the others.

    Args:
        gpu: GPU that the points were measured on.
        points: measured times.
        groups: group of each point.
    """
    ratios = []
    for group in set(groups):
        inside = [point for point, own in zip(points, groups, strict=True) if own == group]
        efficiency = fit(gpu, [point for point, own in zip(points, groups, strict=True) if own != group])
        ratios += [point.seconds / Work(gpu, point.steps).seconds(efficiency) for point in inside]
    return measure_residuals(ratios)

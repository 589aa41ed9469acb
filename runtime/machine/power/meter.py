"""Interface of meters, and what they measured."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Sample = tuple[float, Mapping[str, float]]
"""Seconds, and the watts or joules of each rail."""


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Meter:
    """Meter of the power of some part of this machine."""

    name: str
    scope: str
    """Words for the part that it measures."""
    read: Callable[[], dict[str, float]]
    """Returns the value of each rail now: joules since any fixed moment if it counts, else watts."""
    counts: bool
    """Whether it counts energy; else its watts are sampled and summed up."""
    total: tuple[str, ...] = ()
    """Rails whose sum is the whole part; empty where no rails are, because some contain others or are missing."""
    close: Callable[[], None] = _nothing

    def add_up(self, rails: Mapping[str, float]) -> float | None:
        """Add up the rails of the whole part.

        Returns:
            None where nothing measures the whole.
        """
        return sum(rails[name] for name in self.total) if self.total and set(self.total) <= set(rails) else None


@dataclass(frozen=True)
class Energy:
    """Energy of one window of time."""

    seconds: float
    joules: Mapping[str, float]
    """Joules of each rail."""
    readings: int
    """Number of times that the meter was read."""

    @property
    def watts(self) -> dict[str, float]:
        """Mean watts of each rail."""
        return {name: value / self.seconds for name, value in self.joules.items()}


def find_energy(meter: Meter, samples: Sequence[Sample]) -> Energy:
    """Compute the energy between the first sample and the last.

    The watts of a meter that does not count are taken to change evenly from sample to sample. A rail that a sample
    lacks, because its sensor gave nothing, is left out as a whole.

    Args:
        meter: the meter that gave the samples.
        samples: at least two, in order of time.
    """
    (start, first), (end, last) = samples[0], samples[-1]
    names = [name for name in first if all(name in rails for _, rails in samples)]
    if meter.counts:
        return Energy(end - start, {name: last[name] - first[name] for name in names}, len(samples))
    joules = dict.fromkeys(names, 0.0)
    for (before, old), (after, new) in itertools.pairwise(samples):
        for name in names:
            joules[name] += (after - before) * (old[name] + new[name]) / 2
    return Energy(end - start, joules, len(samples))

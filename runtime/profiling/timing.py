"""Timing of several functions in turns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ..restorer import Restorer

Key = TypeVar("Key", bound=Hashable)
Clock = Callable[[], float]
"""Function that returns the seconds since any fixed moment."""

PERCENTILES = (50, 90, 99)
"""Percentiles that reports show."""


@dataclass(frozen=True)
class Repeats:
    """Limits on the number of runs of a function."""

    most: int
    """Largest number of runs, at least 1."""
    seconds: float = math.inf
    """Seconds that all runs may take together; after the first run, another is made only if it
    probably fits. Infinity sets no limit."""
    least: int = 1
    """Smallest number of runs, made even if they take longer than `seconds`."""

    def __post_init__(self) -> None:
        if self.most < 1 or not self.seconds >= 0:
            raise ValueError(f"most must be >= 1 and seconds >= 0, got {self.most} and {self.seconds}")

    def wants_more(self, times: Sequence[float]) -> bool:
        """Tell whether to run again.

        Args:
            times: seconds of the runs so far.
        """
        if len(times) < min(self.least, self.most):
            return True
        return len(times) < self.most and sum(times) + max(times) <= self.seconds


@dataclass(frozen=True)
class Effort:
    """Limits on the runs of a profile's measurements."""

    dense: Repeats = Repeats(3, seconds=20.0)
    """Runs of the baseline on the whole picture."""
    adaptive: Repeats = Repeats(5, seconds=3.0)
    """Runs of the restorer on the whole picture, under each mask."""
    forced: Repeats = Repeats(3, seconds=1.0)
    """Runs of each method under each mask, on the picture on which methods are compared."""
    files: Repeats = Repeats(5, seconds=2.0)
    """Runs of decoding and of encoding."""

    @classmethod
    def exactly(cls, runs: int) -> Effort:
        """Return limits for exactly so many runs of each measurement."""
        return cls(*(Repeats(runs),) * 4)


def warm_up(restorer: Restorer, image: np.ndarray, mask: np.ndarray | None) -> None:
    """Restore a picture once by each path of the network.

    The first run of a graph allocates memory, and "auto" may leave a path out.

    Args:
        restorer: the restorer whose graphs are run.
        image: picture as `Restorer` takes it.
        mask: mask as `Restorer` takes it; if it has no distorted pixel, Net_R is not run.
    """
    for path in restorer.network.paths:
        forced, network = copy(restorer), copy(restorer.network)  # shares the graphs, and does not close them
        network.paths = (path,)
        forced.network = network
        forced(image, mask=mask)


def take_turns(
    runs: Mapping[Key, Callable[[], Any]],
    repeats: Callable[[Key], Repeats],
    *,
    warm_first: bool = False,
    prepare: Callable[[Key], None] = lambda key: None,
    rotate: bool = False,
    seen: Callable[[Key, Any], None] = lambda key, result: None,
    clock: Clock = time.perf_counter,
) -> dict[Key, list[float]]:
    """Time functions in rounds.

    Each function runs once a round, in the order given, so that a busy moment of the machine affects all of them.

    Args:
        runs: functions to time by key.
        repeats: gives the limits for a key; a function that has reached them leaves out later rounds.
        warm_first: run each function once untimed before the first round, because first runs allocate memory.
        prepare: gets the key right before each timed run, outside of the timed seconds.
        rotate: begin every round with the next key, so that no run always follows the same other one.
        seen: gets the key and the result of every run, outside of the timed seconds; an error that it raises ends the
            measurement.
        clock: returns the seconds.

    Returns:
        Seconds of every run by key.
    """
    times: dict[Key, list[float]] = {key: [] for key in runs}
    order = list(runs)
    for key in order if warm_first else ():
        runs[key]()
    while due := [key for key in order if repeats(key).wants_more(times[key])]:
        for key in due:
            prepare(key)
            start = clock()
            result = runs[key]()
            times[key].append(clock() - start)
            seen(key, result)
        if rotate:
            order = order[1:] + order[:1]
    return times


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Compute the percentiles of measured times.

    Values between two runs are interpolated, so p99 means little after few runs.

    Returns:
        {"p50", "p90", "p99"} in milliseconds, rounded to the microsecond.
    """
    values = np.percentile(np.asarray(seconds, dtype=np.float64) * 1000, PERCENTILES)
    return {f"p{percent}": round(float(value), 3) for percent, value in zip(PERCENTILES, values, strict=True)}


def find_crossover(densities: Sequence[float], packed: Sequence[float], dense: Sequence[float]) -> float | None:
    """Find the density above which packed takes longer than dense.

    Times between two measured densities are interpolated.

    Args:
        densities: measured densities, ascending.
        packed: time of the packed method at each density, in any unit.
        dense: time of the dense method at each density, in the same unit.

    Returns:
        The last density at which the faster method changes from packed to dense. None if one method is faster at all
        densities, or if packed is faster at the highest.
    """
    lead = [a - b for a, b in zip(packed, dense, strict=True)]  # below 0: packed is faster
    for i in reversed(range(len(lead) - 1)):
        if lead[i] < 0 <= lead[i + 1]:
            share = lead[i] / (lead[i] - lead[i + 1])
            return densities[i] + share * (densities[i + 1] - densities[i])
    return None

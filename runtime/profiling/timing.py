"""Timing several ways of doing something in turns, and what is said of their times."""

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
Say = Callable[[str], None]
"""Takes words on what is being done, for a progress display."""

PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Repeats:
    """How often a way is run."""

    most: int
    """Runs at most; at least 1."""
    seconds: float = math.inf
    """A way that ran once is run again only while its runs and one more such run fit into this; inf: always."""
    least: int = 1
    """Runs at least, even if they take longer than `seconds`."""

    def __post_init__(self) -> None:
        if self.most < 1 or not self.seconds >= 0:
            raise ValueError(f"most must be >= 1 and seconds >= 0, got {self.most} and {self.seconds}")

    def wants_more(self, times: Sequence[float]) -> bool:
        """Whether to run again after runs of so many seconds."""
        if len(times) < min(self.least, self.most):
            return True
        return len(times) < self.most and sum(times) + max(times) <= self.seconds


@dataclass(frozen=True)
class Effort:
    """How often the things of a profile are run."""

    dense: Repeats = Repeats(3, seconds=20.0)
    """The baseline on the whole picture."""
    adaptive: Repeats = Repeats(5, seconds=3.0)
    """The restorer on the whole picture, under each mask."""
    forced: Repeats = Repeats(3, seconds=1.0)
    """Each way under each mask, on the picture on which they are compared."""
    files: Repeats = Repeats(5, seconds=2.0)
    """Decoding and encoding."""

    @classmethod
    def exactly(cls, runs: int) -> Effort:
        """So many runs of everything, however long they take."""
        return cls(*(Repeats(runs),) * 4)


def warm_up(restorer: Restorer, image: np.ndarray, mask: np.ndarray | None) -> None:
    """Restore a picture in each way that the network has: first runs allocate, and "auto" leaves some way out.

    Args:
        restorer: whose graphs are run.
        image: see `Restorer`.
        mask: likewise; where it has no pixel, Net_R is not run.
    """
    for path in restorer.network.paths:
        forced, network = copy(restorer), copy(restorer.network)  # shares the graphs, and does not close them
        network.paths = (path,)
        forced.network = network
        forced(image, mask=mask)


def take_turns(
    ways: Mapping[Key, Callable[[], Any]],
    repeats: Callable[[Key], Repeats],
    *,
    warm_first: bool = False,
    prepare: Callable[[Key], None] = lambda key: None,
    rotate: bool = False,
    seen: Callable[[Key, Any], None] = lambda key, result: None,
    clock: Clock = time.perf_counter,
) -> dict[Key, list[float]]:
    """Run ways in rounds, each once a round in the order given, so that a busy moment of the machine hits all.

    Args:
        ways: what to time, by key.
        repeats: how often a way is run; one that has had enough sits the later rounds out.
        warm_first: run each once untimed before the first round, because first runs allocate.
        prepare: called right before each timed run, outside of the time.
        rotate: begin every round with the next key, so that no run always follows the same other one.
        seen: gets every result, outside of the time; what it raises ends the measurement.
        clock: seconds.

    Returns:
        The seconds of every run by key.
    """
    times: dict[Key, list[float]] = {key: [] for key in ways}
    order = list(ways)
    for key in order if warm_first else ():
        ways[key]()
    while due := [key for key in order if repeats(key).wants_more(times[key])]:
        for key in due:
            prepare(key)
            start = clock()
            result = ways[key]()
            times[key].append(clock() - start)
            seen(key, result)
        if rotate:
            order = order[1:] + order[:1]
    return times


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """{"p50", "p90", "p99"} in milliseconds, to the microsecond; linear between runs, so few runs say little of p99."""
    values = np.percentile(np.asarray(seconds, dtype=np.float64) * 1000, PERCENTILES)
    return {f"p{percent}": round(float(value), 3) for percent, value in zip(PERCENTILES, values, strict=True)}


def find_crossover(densities: Sequence[float], packed: Sequence[float], dense: Sequence[float]) -> float | None:
    """The density above which packed takes longer than dense, linear between the measured ones.

    Args:
        densities: ascending.
        packed: what the packed way took at each; any unit.
        dense: likewise.

    Returns:
        The last crossing from packed being faster to dense being faster; None where the measured densities hold
        none: one of both is faster at all of them, or at the highest packed is.
    """
    lead = [a - b for a, b in zip(packed, dense, strict=True)]  # below 0: packed is faster
    for i in reversed(range(len(lead) - 1)):
        if lead[i] < 0 <= lead[i + 1]:
            share = lead[i] / (lead[i] - lead[i + 1])
            return densities[i] + share * (densities[i + 1] - densities[i])
    return None

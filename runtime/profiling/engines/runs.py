"""Timed runs of a slot, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...cuda.marks import RunTimes, Span
from ...engine.slot import Slot
from .statistics import list_warnings, measure_variation, summarize

Clock = Callable[[], float]
"""Function that returns the seconds since any fixed moment."""
FIRST = 4
"""Runs that are never timed: two with new shapes, the one that is captured, and a first replay."""


@dataclass(frozen=True)
class Rounds:
    """Limits on the runs of a measurement, as of trtexec."""

    warm_up: float = 0.2
    """Seconds of runs that are not timed; at least `FIRST` runs are made."""
    least: int = 10
    """Smallest number of timed runs."""
    seconds: float = 3.0
    """Smallest number of seconds of timed runs."""

    @classmethod
    def exactly(cls, runs: int) -> Rounds:
        """Return limits for exactly so many timed runs."""
        return cls(0.0, runs, 0.0)


@dataclass(frozen=True)
class TimedRuns:
    """Times of the runs of one slot with one picture."""

    times: list[RunTimes]
    warm_up: int
    """Number of runs before them."""
    seconds: float
    """Seconds of the host from the first to the last of them."""
    refused: str | None
    """Reason why the runs could not be captured; None also where that was not asked for."""

    @property
    def replayed(self) -> bool:
        """Whether a CUDA graph was replayed in every timed run."""
        return all(run.compute is None for run in self.times)


def time_runs(
    slot: Slot, feeds: Mapping[str, np.ndarray], rounds: Rounds, clock: Clock = time.perf_counter
) -> TimedRuns:
    """Time runs of a slot.

    Each run waits for the one before.
    The CUDA context must be current.

    Args:
        slot: the slot; its options say whether runs are captured.
        feeds: an array of exactly its type for each input, copied to pinned memory once.
        rounds: limits on the runs.
        clock: returns the seconds of the host.

    Raises:
        CudaError, EngineError: the GPU or TensorRT refuses.
    """
    slot.prepare(feeds)
    with closing(slot.make_marks(clock)) as marks:
        begin, warm_up = clock(), 0
        while warm_up < FIRST or clock() - begin < rounds.warm_up:
            slot.repeat(marks)
            warm_up += 1
        times: list[RunTimes] = []
        begin = clock()
        while len(times) < rounds.least or clock() - begin < rounds.seconds:
            slot.repeat(marks)
            times.append(marks.read())
        return TimedRuns(times, warm_up, clock() - begin, slot.refused)


def describe_runs(runs: TimedRuns) -> dict[str, Any]:
    """Describe plain runs in the terms of trtexec.

    Returns:
        {"h2d_ms", "compute_ms", "d2h_ms", "latency_ms", "enqueue_ms"}: summaries, see `summarize`; and {"runs",
        "warm_up_runs", "seconds", "per_second", "variation", "warnings"}. The latency is the sum of copies and
        inference.
    """
    steps = [list_steps(run) for run in runs.times]
    copy_in, compute, copy_out = ([step[index] for step in steps] for index in range(3))
    enqueue = [measure_span(run.enqueue) for run in runs.times]
    return {
        "h2d_ms": summarize(copy_in),
        "compute_ms": summarize(compute),
        "d2h_ms": summarize(copy_out),
        "latency_ms": summarize([sum(step) for step in steps]),
        "enqueue_ms": summarize(enqueue),
        **_describe_rate(runs),
        "variation": round(measure_variation(compute), 3),
        "warnings": list_warnings(enqueue, copy_in, compute, copy_out),
    }


def describe_replays(runs: TimedRuns) -> dict[str, Any]:
    """Describe runs that should replay a CUDA graph.

    Returns:
        {"refused"}: None, or the reason why nothing was captured, and then no times; {"latency_ms", "enqueue_ms"}:
        summaries of the whole graph with its copies, and of its launch; {"runs", "warm_up_runs", "seconds",
        "per_second"}.
    """
    if not runs.replayed:
        return {"refused": runs.refused or "the runs were not captured"}
    return {
        "refused": None,
        "latency_ms": summarize([measure_span(run.total) for run in runs.times]),
        "enqueue_ms": summarize([measure_span(run.enqueue) for run in runs.times]),
        **_describe_rate(runs),
    }


def list_steps(run: RunTimes) -> tuple[float, float, float]:
    """Return the milliseconds of copies in, inference and copies out."""
    assert run.copy_in is not None and run.compute is not None and run.copy_out is not None, "a graph has no steps"
    return measure_span(run.copy_in), measure_span(run.compute), measure_span(run.copy_out)


def measure_span(span: Span) -> float:
    """Return the milliseconds of a span."""
    return span[1] - span[0]


def _describe_rate(runs: TimedRuns) -> dict[str, Any]:
    count = len(runs.times)
    return {
        "runs": count,
        "warm_up_runs": runs.warm_up,
        "seconds": round(runs.seconds, 4),
        "per_second": round(count / runs.seconds, 3) if runs.seconds > 0 else None,
    }

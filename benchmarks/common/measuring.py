"""Correctness gate, turns, medians, goals and the report of benchmarks.

Nothing is timed before its output was compared: call `require_equal` first and `take_turns` after.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spair.runtime.errors import GateError
from spair.runtime.files import write_atomically
from spair.runtime.machine.report import describe_machine, machine_line
from spair.runtime.profiling import timing

TOLERANCE = 1e-4
"""Largest absolute error allowed. Results are of order 1; a dropped pixel or a wrong weight gives errors of 1e-2 and
more."""
SETTLE_SECONDS = 0.06
"""Seconds of pause before each timing. The workers of ONNX Runtime, OpenMP and TBB spin for up to some 40 ms after
their work is done, on the very cores that the next contender needs."""
PACKAGES = ("spair-rt", "torch", "onnx", "onnxruntime", "numpy")
"""Packages whose versions a report lists."""

Run = Callable[[], Any]


@dataclass(frozen=True)
class Times:
    """Median, least and most milliseconds of one contender."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> Times:
        """Summarize the milliseconds of each round, at least one."""
        return cls(statistics.median(milliseconds), min(milliseconds), max(milliseconds))


def take_turns(
    runs: Mapping[str, Run],
    repeat: int,
    *,
    warm_each: bool = False,
    settle: float = SETTLE_SECONDS,
    clock: timing.Clock = time.perf_counter,
) -> dict[str, Times]:
    """Time every run once in each of several rounds.

    Rounds let a busy moment of the machine hit all runs alike.

    Args:
        runs: runs by name; each is run once untimed first.
        repeat: number of rounds, at least 1; every round begins with another contender.
        warm_each: whether each run also runs untimed right before its timing. Short runs need it, because the contender
            before leaves foreign caches and sleeping threads behind.
        settle: seconds to wait before each timing.
        clock: returns the seconds.

    Raises:
        ValueError: `repeat` is below 1.
    """
    if repeat < 1:
        raise ValueError(f"repeat is {repeat}, expected 1 or more")

    def prepare(name: str) -> None:
        time.sleep(settle)
        if warm_each:
            runs[name]()

    seconds = timing.take_turns(
        runs,
        lambda name: timing.Repeats(repeat),
        warm_first=True,
        prepare=prepare,
        rotate=True,
        clock=clock,
    )
    return {name: Times.of([1e3 * value for value in values]) for name, values in seconds.items()}


def require_equal(
    who: str,
    got: np.ndarray,
    expected: np.ndarray,
    clean: np.ndarray | None = None,
    tolerance: float = TOLERANCE,
) -> float:
    """Refuse a result that differs from PyTorch's.

    Args:
        who: name of the contender for the message.
        got: result of the contender.
        expected: result of PyTorch, of the same shape.
        clean: bool, broadcast to that shape; both results must be identical there. None checks no clean pixels.
        tolerance: largest absolute error allowed.

    Returns:
        the largest absolute error.

    Raises:
        GateError: another shape, a value that is not finite, an error above the tolerance, or a clean pixel that was
            touched.
    """
    if got.shape != expected.shape:
        raise GateError(f"{who} gave shape {got.shape}, PyTorch {expected.shape}; no times are reported")
    error = np.abs(got - expected)
    worst = float(error.max(initial=0.0))
    if not worst <= tolerance:  # NaN is never <=
        raise GateError(f"{who} differs from PyTorch by {worst:.2e}, allowed {tolerance:.0e}; no times are reported")
    if clean is not None:
        touched = int((error[np.broadcast_to(clean, error.shape)] > 0.0).sum())
        if touched:
            raise GateError(f"{who} touched {touched} values of clean pixels; no times are reported")
    return worst


@dataclass(frozen=True)
class Goal:
    """Number that a benchmark wants to reach."""

    name: str
    wanted: float
    measured: float | None
    """Measured number; None where it was not measured, and then there is no verdict."""
    at_most: bool = False
    """Whether the measured number may not exceed the wanted one; else it may not fall below it."""

    @property
    def passed(self) -> bool | None:
        """Verdict, or None without a measurement."""
        if self.measured is None:
            return None
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted

    def to_json(self) -> dict[str, Any]:
        """Return the goal as JSON values.

        The keys are "name", "wanted", "at_most", "measured" and "passed".
        """
        return {**vars(self), "passed": self.passed}

    def line(self) -> str:
        """Format the goal as one line of text."""
        word = {True: "pass", False: "FAIL", None: "not measured"}[self.passed]
        value = "" if self.measured is None else f"{self.measured:.2f} "
        return f"{word:12} {self.name}: {value}(wanted {'<=' if self.at_most else '>='} {self.wanted:g})"


def describe_run(threads: int) -> dict[str, Any]:
    """Describe machine, load, threads and package versions as JSON values.

    The keys are "machine", "load", "threads" and "versions". The load is the number of busy tasks over the last minute.
    """
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {"machine": describe_machine(), "load": load, "threads": threads, "versions": versions}


def show_run(run: Mapping[str, Any], absent: Mapping[str, str]) -> None:
    """Print machine, versions, and absent peers with their reasons."""
    load = "" if run["load"] is None else f", load {run['load']:.1f}"
    print(f"{machine_line(run['machine'])}{load}; {run['threads']} threads")
    print(", ".join(f"{name} {version}" for name, version in run["versions"].items()))
    for name, reason in absent.items():
        print(f"absent: {name}: {reason}")


def show_goals(goals: Sequence[Goal]) -> None:
    """Print one line for each goal."""
    print()
    for goal in goals:
        print(goal.line())


def show_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table with its first column flush left.

    All other columns are aligned to the right.
    """
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        cells = [value.rjust(width) for value, width in zip(row, widths, strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *cells[1:]]), flush=True)


def show_peers(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the dense peers' table, unless it is empty."""
    if not rows:
        return
    print()
    cells = [
        [
            row["preset"],
            row["peer"],
            f"{row['dense_ms']['median']:.0f}",
            f"{row['ms']['median']:.0f}",
            f"{row['speedup']:.2f}",
            f"{row['max_error']:.0e}",
        ]
        for row in rows
    ]
    show_table(["preset", "peer", "dense ms", "peer ms", "x dense", "error"], cells)


def write_json(path: Path, report: Mapping[str, Any]) -> None:
    """Write a report to a JSON file.

    Raises:
        UserError: the file cannot be written; an existing file stays as it is.
        ValueError: a number is not finite.
    """
    write_atomically(path, (json.dumps(report, indent=1, allow_nan=False) + "\n").encode())


def print_progress(text: str) -> None:
    """Print a line of progress on stderr.

    stdout is kept for the report.
    """
    print(text, file=sys.stderr, flush=True)

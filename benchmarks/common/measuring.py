"""What the benchmarks share: the correctness gate, taking turns, medians, targets and the report; asks no question.

Nothing is timed before its output was compared: `require_equal` first, `take_turns` after.
"""

from __future__ import annotations

import argparse
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
from spair.runtime.machine.report import describe_machine, machine_line
from spair.runtime.profiling import timing

TOLERANCE = 1e-4
"""Largest error allowed, absolute: results are of order 1, and a dropped pixel or a wrong weight is 1e-2 and more."""
SETTLE_SECONDS = 0.06
"""Pause before each timing. The workers of ONNX Runtime, OpenMP and TBB spin for up to some 40 ms after their work is
done, on the very cores that the next contender needs."""
PACKAGES = ("spair-rt", "torch", "onnx", "onnxruntime", "numpy")

Run = Callable[[], Any]


@dataclass(frozen=True)
class Times:
    """Milliseconds of one contender over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> Times:
        """From the milliseconds of each round, at least one."""
        return cls(statistics.median(milliseconds), min(milliseconds), max(milliseconds))


def take_turns(
    runs: Mapping[str, Run], repeat: int, *, warm_each: bool = False, settle: float = SETTLE_SECONDS
) -> dict[str, Times]:
    """Time every run `repeat` times, in rounds, so that a busy moment of the machine hits all of them alike.

    Args:
        runs: by name; each is run once untimed first.
        repeat: rounds, at least 1; every round begins with another contender.
        warm_each: also run untimed right before each timing: for runs so short that the caches and sleeping threads
            that the contender before leaves behind would count.
        settle: seconds to wait before each timing.
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
        clock=time.perf_counter,
    )
    return {name: Times.of([1e3 * value for value in values]) for name, values in seconds.items()}


def require_equal(
    who: str,
    got: np.ndarray,
    expected: np.ndarray,
    clean: np.ndarray | None = None,
    tolerance: float = TOLERANCE,
) -> float:
    """The correctness gate: the largest absolute error of a contender.

    Args:
        who: named in the message.
        got: what it computed.
        expected: what PyTorch computes, of the same shape.
        clean: bool, broadcast to that shape; there both must be identical. None: there are no clean pixels to check.
        tolerance: largest error allowed.

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
class Target:
    """A number that has to be reached."""

    name: str
    wanted: float
    measured: float | None
    """None: it was not measured, so there is no verdict."""
    at_most: bool = False
    """The measured number may not exceed the wanted one; else it may not fall below it."""

    @property
    def passed(self) -> bool | None:
        """The verdict; None without a measurement."""
        if self.measured is None:
            return None
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted

    def to_json(self) -> dict[str, Any]:
        """{"name", "wanted", "at_most", "measured", "passed"}."""
        return {**vars(self), "passed": self.passed}

    def line(self) -> str:
        """One line for people."""
        word = {True: "pass", False: "FAIL", None: "not measured"}[self.passed]
        value = "" if self.measured is None else f"{self.measured:.2f} "
        return f"{word:12} {self.name}: {value}(wanted {'<=' if self.at_most else '>='} {self.wanted:g})"


def describe_run(threads: int) -> dict[str, Any]:
    """{"machine", "load", "threads", "versions"}: the load is the number of busy tasks over the last minute."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {"machine": describe_machine(), "load": load, "threads": threads, "versions": versions}


def show_run(run: Mapping[str, Any], absent: Mapping[str, str]) -> None:
    """Print machine, versions, and which peers are absent and why."""
    load = "" if run["load"] is None else f", load {run['load']:.1f}"
    print(f"{machine_line(run['machine'])}{load}; {run['threads']} threads")
    print(", ".join(f"{name} {version}" for name, version in run["versions"].items()))
    for name, reason in absent.items():
        print(f"absent: {name}: {reason}")


def show_targets(targets: Sequence[Target]) -> None:
    """Print one line a target."""
    print()
    for target in targets:
        print(target.line())


def show_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns aligned to the right, the first to the left."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        cells = [value.rjust(width) for value, width in zip(row, widths, strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *cells[1:]]), flush=True)


def write_json(path: Path, report: Mapping[str, Any]) -> None:
    """Write a report; a failure leaves an existing file unchanged."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def say(text: str) -> None:
    """Progress, on stderr: stdout is the report."""
    print(text, file=sys.stderr, flush=True)


def parse_shares(text: str) -> tuple[float, ...]:
    """ "0.02,0.1" to numbers, each 0..1: an argparse type."""
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers such as 0.02,0.1") from error
    if not all(0.0 <= share <= 1.0 for share in shares):
        raise argparse.ArgumentTypeError(f"{text!r} has a density outside of 0..1")
    return shares


def parse_names(choices: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """An argparse type: a list of some of `choices`, or nothing."""

    def parse(text: str) -> tuple[str, ...]:
        names = tuple(filter(None, text.split(",")))
        unknown = [name for name in names if name not in choices]
        if unknown:
            raise argparse.ArgumentTypeError(f"there is no {unknown[0]!r}; choose from {', '.join(choices)}")
        return names

    return parse


def parse_count(text: str) -> int:
    """A whole number of at least 1: an argparse type."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)

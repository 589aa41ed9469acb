"""What goes to which stream: results to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Show = Callable[[dict[str, Any], Console], None]
"""Prints a report for people."""


@contextlib.contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """A spinner on stderr around long work; yields the function that changes its words.

    Whatever the work prints goes to stderr too: stdout belongs to the result.
    """
    with contextlib.redirect_stdout(sys.stderr), Console(stderr=True).status(what) as status:
        yield status.update


@contextlib.contextmanager
def counting(what: str) -> Iterator[Callable[[int, int, str | Path], None]]:
    """A progress bar on stderr; yields the function to call with (done, all, the name just finished)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with contextlib.redirect_stdout(sys.stderr), Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total, name: bar.update(
            task, completed=done, total=total, description=f"{what} {Path(name).name}".replace("[", r"\[")
        )


def deliver(report: dict[str, Any], as_json: bool, show: Show) -> None:
    """Print a report on stdout: strict JSON on one line, or for people."""
    if as_json:
        typer.echo(json.dumps(report, allow_nan=False))
    else:
        show(report, Console())


def finite_or_null(value: Any) -> Any:
    """The same value with NaN and infinities as None, which strict JSON has no words for."""
    if isinstance(value, dict):
        return {key: finite_or_null(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite_or_null(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def number(value: float | None, digits: int = 2, unit: str = "") -> str:
    """A number for a table; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}{unit}"


def decibel(value: float) -> str:
    """A PSNR; identical pictures, which have none, are capped at 100 dB."""
    return "identical" if value >= 100.0 else f"{value:.2f} dB"

"""Output of the verbs.

Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from ...runtime.clock import CountProgress, ReportProgress

Show = Callable[[dict[str, Any], Console], None]
"""Function that prints a report for people."""


@contextlib.contextmanager
def working(what: str) -> Iterator[ReportProgress]:
    """Show a spinner on stderr during long work.

    Yields the function that changes its words. Anything that the work prints goes to stderr, since stdout belongs to
    the result.
    """
    with contextlib.redirect_stdout(sys.stderr), Console(stderr=True).status(what) as status:
        yield status.update


@contextlib.contextmanager
def counting(what: str) -> Iterator[CountProgress]:
    """Show a progress bar on stderr.

    Yields the function to call with (done, all, the name just finished).
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with contextlib.redirect_stdout(sys.stderr), Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total, name: bar.update(
            task, completed=done, total=total, description=f"{what} {Path(name).name}".replace("[", r"\[")
        )


def deliver(report: dict[str, Any], as_json: bool, show: Show) -> None:
    """Print a report on stdout.

    It is strict JSON on one line, or a text for people.
    """
    if as_json:
        typer.echo(json.dumps(report, allow_nan=False))
    else:
        show(report, Console())


def finite_or_null(value: Any) -> Any:
    """Replace NaN and infinities by None.

    Strict JSON has no words for them.
    """
    if isinstance(value, dict):
        return {key: finite_or_null(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite_or_null(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def make_table(words: Iterable[str], numbers: Iterable[str]) -> Table:
    """Make a table without a frame.

    Columns of numbers are aligned to the right and never wrapped.
    """
    table = Table(*words, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in numbers:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def number(value: float | None, digits: int = 2, unit: str = "") -> str:
    """Format a number for a table; None becomes a dash."""
    return "–" if value is None else f"{value:.{digits}f}{unit}"


def decibel(value: float) -> str:
    """Format a PSNR in dB.

    Identical pictures have 100 dB, the cap.
    """
    return "identical" if value >= 100.0 else f"{value:.2f} dB"

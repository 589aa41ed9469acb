"""Output of the verbs.

Results go to stdout, everything else to stderr. All text for people goes through here, where what names and messages of
files hold is made visible: no character of theirs moves the cursor, colours a line or is taken for markup.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from .process.ending import writing_result

if TYPE_CHECKING:
    from ...runtime.clock import CountProgress, ReportProgress

LINE_SECONDS = 5.0
"""Seconds between two lines of progress where stderr is no terminal."""
PIPE_COLUMNS = 10_000
"""Columns of a table in a file or pipe, so that nothing is cut."""

Show = Callable[[dict[str, Any], Console], None]
"""Function that prints a report for people."""


def make_visible(text: str) -> str:
    """Write characters that do not print as escapes.

    These are controls of terminals, line breaks, marks that turn the direction of writing, and bytes of names that are
    no text.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def tell(sentence: str) -> None:
    """Print a line on stderr."""
    typer.echo(make_visible(sentence), err=True)


class Terminal(Console):
    """Console that prints texts as they are.

    That holds for lines and for tables. It knows no markup and no emoji codes. Each text is one line.
    """

    def __init__(self, *, stderr: bool = False, width: int | None = None, file: IO[str] | None = None) -> None:
        super().__init__(stderr=stderr, width=width, file=file, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Turn a text into what is printed."""
        return super().render_str(make_visible(text), **{**options, "markup": False, "emoji": False})


_PLAIN = {"–": "-", "—": "-", "…": "...", "×": "x", "·": "*", "≤": "<=", "≥": ">=", "━": "-", "╸": "-", "╺": "-"}
"""Plain words for signs of ours that an encoding may lack."""


def accept_all_text() -> None:
    """Let the standard streams take every text.

    Their encoding may lack letters of a file's name, as ASCII does, and then a report of finished work would end in an
    error. Such letters are printed as Python writes them, as in `\\xe4`.
    """
    codecs.register_error("spair", _replace_unknown)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="spair")


def _replace_unknown(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    plain = (_PLAIN.get(one) or one.encode("ascii", "backslashreplace").decode() for one in letters)
    return "".join(plain), error.end


@contextlib.contextmanager
def working(what: str) -> Iterator[ReportProgress]:
    """Show a spinner on stderr during long work.

    Yields the function that changes its words. Anything that the work prints goes to stderr, since stdout belongs to
    the result.
    """
    with contextlib.redirect_stdout(sys.stderr), Terminal(stderr=True).status(Text(make_visible(what))) as status:
        yield lambda words: status.update(Text(make_visible(words)))


@contextlib.contextmanager
def counting(what: str) -> Iterator[CountProgress]:
    """Show progress on stderr.

    It is a bar, or lines where stderr is no terminal.

    Yields the function to call with (done, all, the name just finished).
    """
    if not sys.stderr.isatty():
        with contextlib.redirect_stdout(sys.stderr):
            yield _make_lines(what)
        return
    description = TextColumn("{task.description}", markup=False)
    columns = (description, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with contextlib.redirect_stdout(sys.stderr), Progress(*columns, console=Terminal(stderr=True)) as bar:
        task = bar.add_task(make_visible(what), total=None)
        yield lambda done, total, name: bar.update(
            task, completed=done, total=total, description=make_visible(f"{what} {Path(name).name}")
        )


def _make_lines(what: str) -> CountProgress:
    """Make a progress that prints a line every few seconds."""
    last = time.monotonic()

    def count(done: int, total: int, name: str) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            tell(f"{what} {done} of {total}: {Path(name).name}")

    return count


def deliver(report: dict[str, Any], as_json: bool, show: Show, *, to_stderr: bool = False) -> None:
    """Print a report on stdout.

    It is strict JSON on one line, or a text for people.

    Args:
        report: the report.
        as_json: whether it is printed as JSON.
        show: prints it for people.
        to_stderr: whether it goes to stderr, since stdout has the result.

    Raises:
        OutputError: stdout is closed, or its disk is full.
    """
    text = json.dumps(report, allow_nan=False) if as_json else ""
    if to_stderr:
        if as_json:
            tell(text)
        else:
            show(report, Terminal(stderr=True, width=None if sys.stderr.isatty() else PIPE_COLUMNS))
        return
    with writing_result():
        if as_json:
            typer.echo(text)
        else:
            # Rich takes 80 columns for a file or pipe, and would cut paths there.
            show(report, _ResultTerminal(width=None if sys.stdout.isatty() else PIPE_COLUMNS))


class _ResultTerminal(Terminal):
    """Console that leaves a broken pipe to `writing_result`.

    Rich would end the process by itself.
    """

    def on_broken_pipe(self) -> None:
        """Let the error rise."""
        raise BrokenPipeError


def print_json(report: dict[str, Any]) -> None:
    """Print a report on stdout.

    It is strict JSON on one line of ASCII.
    """
    with writing_result():
        typer.echo(json.dumps(report, allow_nan=False))


def note(sentence: str) -> None:
    """Print a note on stderr."""
    tell(f"note: {sentence}")


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

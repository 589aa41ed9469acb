"""Progress of files and of the frames of videos."""

from __future__ import annotations

import contextlib
import datetime
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TextColumn

from .output import LINE_SECONDS, Terminal, make_visible, tell, working

if TYPE_CHECKING:
    from ...runtime.clock import CountProgress
    from ...runtime.video.restoring import FrameProgress


class FrameRate:
    """Pace of the video at hand."""

    def __init__(self) -> None:
        self._name, self._first, self._started = "", 0, 0.0

    def describe(self, done: int, total: int | None, name: str) -> str:
        """Take in how far a video is, and say it.

        Args:
            done: number of frames that are done. The first number of a video were done in an earlier run.
            total: number of all frames; None where it is not known.
            name: name of the video.
        """
        now = time.monotonic()
        if name != self._name:
            self._name, self._first, self._started = name, done, now
        words = f"{done} frames" if total is None else f"{done} of {total} frames"
        made, seconds = done - self._first, now - self._started
        if made <= 0 or seconds <= 0:
            return words
        rate = made / seconds
        left = "" if total is None else f", {datetime.timedelta(seconds=round((total - done) / rate))} left"
        return f"{words}, {rate:.2f} frames/s{left}"


@contextlib.contextmanager
def counting_frames(what: str) -> Iterator[tuple[CountProgress, FrameProgress]]:
    """Show progress on stderr.

    It is two bars, one for files and one for the frames of a video, or lines where stderr is no terminal.

    Yields the functions to call with (done, all, name), the first after each file, the second after each frame.
    """
    with contextlib.redirect_stdout(sys.stderr):
        if not sys.stderr.isatty():
            lines = _Lines(what)
            yield lines.count_file, lines.count_frame
            return
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[words]}"))
        with Progress(*columns, console=Terminal(stderr=True)) as bar:
            bars = _Bars(bar, what)
            yield bars.count_file, bars.count_frame


@contextlib.contextmanager
def watching(what: str) -> Iterator[Callable[[Callable[[], str]], None]]:
    """Show how a run without an end is going.

    It is a line on stderr. Yields the function to call at any time with one that says it, which is asked once a second
    on a terminal, and every few seconds elsewhere.
    """
    if not sys.stderr.isatty():
        with contextlib.redirect_stdout(sys.stderr):
            yield _pace(LINE_SECONDS, lambda words: tell(f"{what}: {words}"))
        return
    with working(what) as say:
        yield _pace(1.0, lambda words: say(f"{what}: {words}"))


def _pace(seconds: float, say: Callable[[str], object]) -> Callable[[Callable[[], str]], None]:
    """Make a function that speaks only so often."""
    last = time.monotonic()

    def watch(describe: Callable[[], str]) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            say(describe())

    return watch


class _Lines:
    """Progress that prints a line every few seconds."""

    def __init__(self, what: str) -> None:
        self._what, self._last, self._rate = what, time.monotonic(), FrameRate()

    def count_file(self, done: int, total: int, name: str) -> None:
        """Say how many files are done."""
        self._tell(f"{self._what} {done} of {total}: {Path(name).name}")

    def count_frame(self, done: int, total: int | None, name: str) -> None:
        """Say how many frames are done."""
        self._tell(f"{self._what} {Path(name).name}: {self._rate.describe(done, total, name)}")

    def _tell(self, sentence: str) -> None:
        if time.monotonic() - self._last >= LINE_SECONDS:
            self._last = time.monotonic()
            tell(sentence)


class _Bars:
    """Progress as bars on a terminal."""

    def __init__(self, bar: Progress, what: str) -> None:
        self._bar, self._what, self._rate = bar, what, FrameRate()
        self._files = bar.add_task(make_visible(what), total=None, words="")
        self._frames: Any = None

    def count_file(self, done: int, total: int, name: str) -> None:
        """Move the bar of files."""
        words = make_visible(f"{self._what} {Path(name).name}")
        self._bar.update(self._files, completed=done, total=total, description=words, words=f"{done}/{total}")
        if self._frames is not None:
            self._bar.remove_task(self._frames)
            self._frames = None

    def count_frame(self, done: int, total: int | None, name: str) -> None:
        """Move the bar of frames."""
        if self._frames is None:
            self._frames = self._bar.add_task(make_visible(Path(name).name), total=total, words="")
        self._bar.update(self._frames, completed=done, total=total, words=self._rate.describe(done, total, name))

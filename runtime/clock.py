"""Seconds and progress of long work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ReportProgress = Callable[[str], None]
"""Function that is called with a few words before each step of a long work."""
CountProgress = Callable[[int, int, str], None]
"""Function that is called after each item with the number of items done, the number of all, and the item's name."""


class StageClock:
    """Sums of wall-clock seconds by stage name.

    A stage that is entered again adds to its seconds.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        """Seconds by stage, in order of first use."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the body of a `with` block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def format_seconds(seconds: float) -> str:
    """Format a time for people."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"

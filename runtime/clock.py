"""Seconds per stage of one restoration."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


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

"""Seconds per stage of one restoration."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class StageClock:
    """Adds up wall-clock seconds by stage name; entering a stage again adds to it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        """Stage -> seconds, in order of first use."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the body of a `with` block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

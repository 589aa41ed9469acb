"""How a calibration says how far it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

Tick = Callable[[int, int, str], None]
"""Called with (done, all, the name just finished)."""
Progress = Callable[[str], AbstractContextManager[Tick]]
"""Called with what begins, entered for as long as it takes."""


@contextlib.contextmanager
def silent(what: str) -> Iterator[Tick]:
    """Says nothing."""
    yield lambda done, total, name: None

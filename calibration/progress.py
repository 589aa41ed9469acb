"""Progress of a calibration."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

Tick = Callable[[int, int, str], None]
"""Callback that receives the count of finished items, the count of all items, and the name of the last one."""
Progress = Callable[[str], AbstractContextManager[Tick]]
"""Function that takes the name of a stage; its context lasts as long as the stage and gives a `Tick`."""


@contextlib.contextmanager
def silent(what: str) -> Iterator[Tick]:
    """Show no progress."""
    yield lambda done, total, name: None

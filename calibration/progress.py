"""Progress of a calibration."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from ..runtime.clock import CountProgress

Progress = Callable[[str], AbstractContextManager[CountProgress]]
"""Function that takes the name of a stage and returns its context, which gives the function to call after each item."""


@contextlib.contextmanager
def silent(what: str) -> Iterator[CountProgress]:
    """Show no progress."""
    yield lambda done, total, name: None

"""Bounds on what the calls of all callers together hold."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..budget import BODIES, Budget
from ..errors import BusyError
from ..options import Limits

CALLS = 64
"""Smallest bound on the number of inference calls at once; a longer queue raises it."""


class Bounds:
    """Counters of calls and bytes."""

    def __init__(self, limits: Limits) -> None:
        """Start with nothing taken."""
        self._calls, self._most_calls = 0, max(CALLS, 2 * limits.queue)
        self._budget = Budget(BODIES * limits.body_bytes)

    @contextlib.contextmanager
    def hold_call(self) -> Iterator[None]:
        """Count a call, before its message is read.

        Raises:
            BusyError: there are as many as there may be.
        """
        if self._calls >= self._most_calls:
            raise BusyError(f"the server answers {self._calls} calls, as many as it may; try again later")
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1

    @contextlib.contextmanager
    def hold_bytes(self, count: int) -> Iterator[None]:
        """Count the bytes of a message until it is answered.

        Raises:
            BusyError: other calls hold too many.
        """
        with self._budget.hold() as take:
            take(count)
            yield

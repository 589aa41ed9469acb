"""Memory that requests of a door may take together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from .errors import BusyError

BODIES = 4
"""Number of largest bodies whose bytes the requests of a door together may hold."""

Take = Callable[[int], None]
"""Function that counts bytes which a request is about to hold."""


class Budget:
    """Memory that the bodies of all requests may take.

    Its methods belong to one event loop.
    """

    def __init__(self, limit: int) -> None:
        """Start with nothing taken.

        Args:
            limit: largest number of bytes.
        """
        self._limit, self._taken = limit, 0

    @contextlib.contextmanager
    def hold(self) -> Iterator[Take]:
        """Yield the function that takes bytes.

        It raises BusyError when the bytes are not free. They are given back at the end.
        """
        mine = 0

        def take(count: int) -> None:
            nonlocal mine
            if self._taken + count > self._limit:
                raise BusyError("the server holds as many bytes of requests as it may; try again later")
            self._taken += count
            mine += count

        try:
            yield take
        finally:
            self._taken -= mine

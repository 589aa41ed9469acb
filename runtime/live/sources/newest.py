"""Place where the newest frame replaces the one before."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class NewestItem(Generic[T]):
    """Place between two threads that holds the newest item alone."""

    def __init__(self) -> None:
        self._item: T | None = None
        self._changed = threading.Condition()
        self.ended = False
        """Whether no item follows."""
        self.put_count = 0
        """Number of items that were put here."""
        self.dropped = 0
        """Number of items that a newer one replaced before they were taken."""

    def put(self, item: T) -> None:
        """Put an item in place of the one before."""
        with self._changed:
            self.dropped += self._item is not None
            self.put_count += 1
            self._item = item
            self._changed.notify_all()

    def take(self, seconds: float | None = None) -> T | None:
        """Take the item, and wait for one.

        Args:
            seconds: longest time to wait; None for no limit.

        Returns:
            The newest item; None where the time is over, or after the last one.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self.ended, seconds)
            item, self._item = self._item, None
            return item

    def end(self) -> None:
        """Say that no item follows.

        One that is here can still be taken.
        """
        with self._changed:
            self.ended = True
            self._changed.notify_all()

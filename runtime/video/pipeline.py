"""Three threads that decode, restore and encode at once.

Frames keep their order. Few are under way at a time, so memory does not depend on their number.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from ...temporary.places import finish

T = TypeVar("T")
U = TypeVar("U")

DEPTH = 2
"""Number of frames that may wait between two stages."""


class _AbandonedError(Exception):
    """End of a stage because another one failed."""


class Channel(Generic[T]):
    """Queue of few items between two threads.

    Either end can close it."""

    def __init__(self, depth: int = DEPTH) -> None:
        self._items: deque[T] = deque()
        self._depth = depth
        self._changed = threading.Condition()
        self._ended = self._abandoned = False
        self._error: BaseException | None = None

    def put(self, item: T, patience: float | None = None) -> None:
        """Add an item, and wait for room before.

        Args:
            item: the item.
            patience: longest time to wait in seconds; None for no limit.

        Raises:
            TimeoutError: there is no room in time.
            BaseException: that of `abandon`, or `_AbandonedError` where nobody takes items any more.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._items) < self._depth or self._abandoned, patience):
                raise TimeoutError
            if self._abandoned:
                raise self._error or _AbandonedError
            self._items.append(item)
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Yield items until the end.

        Raises:
            BaseException: that of `end`, after all items before it.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._ended or self._abandoned)
                if self._abandoned:
                    raise _AbandonedError
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item

    def check(self) -> None:
        """Raise the error of the thread that took items."""
        if self._error is not None:
            raise self._error

    def end(self, error: BaseException | None = None) -> None:
        """Say that no item follows.

        Args:
            error: why, where that is one."""
        with self._changed:
            self._ended, self._error = True, self._error or error  # that of `abandon` may have come before
            self._changed.notify_all()

    def abandon(self, error: BaseException | None = None) -> None:
        """Drop all items, and let no more be added."""
        with self._changed:
            self._abandoned = True
            self._error = self._error or error
            self._items.clear()
            self._changed.notify_all()


def run_stages(source: Iterable[T], work: Callable[[T], U], sink: Callable[[U], None]) -> dict[str, float]:
    """Pass items from a source through work to a sink.

    The source and the sink run in a thread each, the work in this one, where Ctrl-C arrives. Whatever one of them
    raises ends the others and is raised here.

    Args:
        source: what yields items.
        work: called with each of them, in order.
        sink: called with each result, in order.

    Returns:
        Seconds that each stage worked, waiting apart: decode, restore, encode.
    """
    incoming: Channel[T] = Channel()
    outgoing: Channel[U] = Channel()
    seconds = {"decode": 0.0, "restore": 0.0, "encode": 0.0}
    threads = (
        threading.Thread(target=_feed, args=(source, incoming, seconds), name="decode", daemon=True),
        threading.Thread(target=_drain, args=(outgoing, sink, seconds), name="encode", daemon=True),
    )
    try:
        for thread in threads:
            thread.start()
        for item in incoming:
            started = time.perf_counter()
            result = work(item)
            seconds["restore"] += time.perf_counter() - started
            outgoing.put(result)
        outgoing.end()
        threads[1].join()
        outgoing.check()
    finally:
        finish(lambda: _stop((incoming, outgoing), threads))
    return seconds


def _feed(source: Iterable[Any], incoming: Channel[Any], seconds: dict[str, float]) -> None:
    """Put what a source yields into a channel."""
    items = iter(source)
    try:
        while True:
            started = time.perf_counter()
            try:
                item = next(items)
            except StopIteration:
                break
            finally:
                seconds["decode"] += time.perf_counter() - started
            incoming.put(item)
    except _AbandonedError:
        return
    except BaseException as error:  # raised again in the thread that waits for items
        incoming.end(error)
        return
    incoming.end()


def _drain(outgoing: Channel[Any], sink: Callable[[Any], None], seconds: dict[str, float]) -> None:
    """Give what comes out of a channel to a sink."""
    try:
        for item in outgoing:
            started = time.perf_counter()
            sink(item)
            seconds["encode"] += time.perf_counter() - started
    except _AbandonedError:
        return
    except BaseException as error:  # raised again in the thread that adds items
        outgoing.abandon(error)


def _stop(channels: Iterable[Channel[Any]], threads: Iterable[threading.Thread]) -> None:
    """End the threads after the item at hand."""
    for channel in channels:
        channel.abandon()
    for thread in threads:
        if thread.ident is not None:
            thread.join()

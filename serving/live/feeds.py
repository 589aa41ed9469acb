"""Views and their viewers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, Histogram

from ...runtime.live.sources.addresses import SourceName
from ...runtime.live.sources.capture import OpenSource, make_opener
from ...runtime.video.options import load_av
from ..access_log import AccessLog
from ..errors import BusyError, UnknownViewError
from ..options import Limits
from ..plane.plane import DataPlane
from .restoring import PlaneRestorer
from .session import Session
from .views import View

LINGER_SECONDS = 5.0
"""Time that a source stays open without a viewer, such as while a page is loaded anew."""
SECONDS = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0)
"""Upper bounds of the buckets of latencies, in seconds."""

MakeOpener = Callable[[SourceName, int, Callable[[], float]], OpenSource]
"""Function that makes what opens a source; see `make_opener`."""


class Feed:
    """View that is restored while somebody looks.

    Its methods belong to one event loop.
    """

    def __init__(
        self,
        view: View,
        plane: DataPlane,
        limits: Limits,
        log: AccessLog,
        observe: Callable[[float], None],
        *,
        linger: float = LINGER_SECONDS,
        open_source: MakeOpener = make_opener,
    ) -> None:
        """Set a view up, without opening it.

        Raises:
            UserError: its source asks for frames beyond the limit of pixels.
        """
        self.view, self._plane, self._limits, self._log, self._observe = view, plane, limits, log, observe
        self._linger = linger
        self._opener = open_source(view.source, limits.pixels, time.monotonic)
        self._session: Session | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self.viewers = 0
        """Number of those who look."""

    @contextlib.asynccontextmanager
    async def join(self) -> AsyncIterator[Session]:
        """Look at the view.

        Its source is opened for the first who looks.

        Raises:
            BusyError: too many look already, or the server ends.
        """
        if self._is_closed:
            raise BusyError("the server is ending, and shows nothing more")
        if self.viewers >= self._limits.viewers:
            raise BusyError(
                f"{self.view.name} has {self.viewers} viewers and takes no more; raise the limit with --max-viewers"
            )
        self.viewers += 1
        try:
            yield await self._find_session()
        finally:
            self.viewers -= 1
            if not self.viewers:
                self._cancel_timer()
                self._timer = asyncio.get_running_loop().call_later(self._linger, self._stop_unseen)

    async def close(self) -> None:
        """End it, and what its viewers see."""
        self._is_closed = True
        self._cancel_timer()
        if self._session is not None:
            self._session.stop()
            await self._session.wait()

    def describe(self) -> dict[str, Any]:
        """Return facts as JSON values, without what is secret."""
        session = self._session
        return {
            "name": self.view.name,
            "source": self.view.source.shown,
            "model": self.view.model,
            "viewers": self.viewers,
            "error": "" if session is None else session.reason,
        }

    async def _find_session(self) -> Session:
        """Return the run, or begin one.

        The one before has to let go of the source first.
        """
        self._cancel_timer()
        while self._session is not None and self._session.is_stopping:
            ended = self._session
            await ended.wait()
            if self._session is ended:
                self._session = None
        if self._session is None:
            restorer = PlaneRestorer(self._plane, self.view.model, asyncio.get_running_loop())
            self._session = Session(
                self.view.name, self.view.source.shown, self._opener, restorer, self._log, self._observe
            )
        return self._session

    def _stop_unseen(self) -> None:
        if not self.viewers and self._session is not None:
            self._session.stop()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Feeds:
    """All views of a server."""

    def __init__(self, views: Iterable[View], plane: DataPlane, limits: Limits, log: AccessLog, **options: Any) -> None:
        """Set the views up, without opening any.

        Args:
            views: names, models and sources.
            plane: models that restore their frames.
            limits: bounds on pixels and viewers.
            log: gets lines about losses.
            options: see `Feed`.

        Raises:
            UserError: PyAV is not installed, or a source asks for too large frames.
        """
        views = tuple(views)
        if views:
            load_av()
        self._latency = Histogram(
            "spair_live_latency_seconds",
            "Seconds from the capture of a frame until it was restored",
            ("live",),
            buckets=SECONDS,
            registry=None,
        )
        self._viewers = Gauge("spair_live_viewers", "Number of those who look at a view", ("live",), registry=None)
        self._feeds: dict[str, Feed] = {}
        for view in views:
            observe = self._latency.labels(view.name).observe
            feed = self._feeds[view.name] = Feed(view, plane, limits, log, observe, **options)
            self._viewers.labels(view.name).set_function(partial(getattr, feed, "viewers"))

    def __iter__(self) -> Iterator[Feed]:
        return iter(self._feeds.values())

    def find(self, name: str) -> Feed:
        """Return a view.

        Raises:
            UnknownViewError: there is none of that name.
        """
        if name not in self._feeds:
            known = f"there are {', '.join(self._feeds)}" if self._feeds else "the server was started without --live"
            raise UnknownViewError(f"nothing is shown as {name!r}; {known}")
        return self._feeds[name]

    def register(self, registry: CollectorRegistry) -> None:
        """Add latencies and viewers to metrics."""
        registry.register(self._latency)
        registry.register(self._viewers)

    async def close(self) -> None:
        """End all views."""
        await asyncio.gather(*(feed.close() for feed in self))

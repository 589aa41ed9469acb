"""Run over a camera or stream in its own thread."""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from collections.abc import Callable

from ...runtime.errors import UserError
from ...runtime.live.restoring import END, LiveOptions, LiveRestoration
from ...runtime.live.sinks import LiveFrame
from ...runtime.live.sources.capture import OpenSource
from ..access_log import AccessLog
from .moments import Moment
from .restoring import PlaneRestorer

STOP_SECONDS = 5.0
"""Longest time that the end of a run is waited for; a camera may hang in its driver."""


class _Screen:
    """Sink whose frames are seen in an event loop."""

    def __init__(self, shown: str, loop: asyncio.AbstractEventLoop, show: Callable[[LiveFrame], None]) -> None:
        self.shown, self._loop, self._show = shown, loop, show

    def write(self, one: LiveFrame) -> list[int]:
        """Hand a frame on; see `Sink`.

        Raises:
            BrokenPipeError: the loop has ended.
        """
        try:
            self._loop.call_soon_threadsafe(self._show, one)
        except RuntimeError as error:
            raise BrokenPipeError from error
        return [one.ticks]

    def finish(self) -> None:
        """Do nothing, since every frame is out."""

    def abandon(self) -> None:
        """Do nothing, as `finish`."""


class Session:
    """Newest restored frame of a source, until its end.

    Its methods belong to one event loop.
    """

    def __init__(
        self,
        name: str,
        source: str,
        opener: OpenSource,
        restorer: PlaneRestorer,
        log: AccessLog,
        observe: Callable[[float], None],
    ) -> None:
        """Start the run.

        Args:
            name: name of the view, for the log.
            source: name of the source as it is shown.
            opener: opens it.
            restorer: restores its frames.
            log: gets a line for each loss, and for the end.
            observe: called with the seconds from the capture of each frame until it was restored.
        """
        self._name, self._log, self._observe, self._restorer = name, log, observe, restorer
        self._loop = asyncio.get_running_loop()
        self._changed, self._gone = asyncio.Event(), asyncio.Event()
        self._moment: Moment | None = None
        self.is_stopping = False
        """Whether it takes no more viewers."""
        self.reason = ""
        """Sentence that says why it ended; empty while it goes on, and where nobody looked any more."""
        screen = _Screen(f"/live/{name}", self._loop, self._show)
        self._run = LiveRestoration(restorer, source, opener, screen, LiveOptions(), announce=self._announce)
        self._thread = threading.Thread(target=self._work, name=f"live {name}", daemon=True)
        self._thread.start()

    async def take(self, last: Moment | None) -> Moment | None:
        """Wait for a frame, and return the newest.

        Args:
            last: the one that the viewer has seen; None for none.

        Returns:
            The frame; None at the end.
        """
        while self._moment is last and not self._gone.is_set():
            await self._changed.wait()
        return None if self._moment is last else self._moment

    def stop(self) -> None:
        """End the run soon."""
        self.is_stopping = True
        self._restorer.stop()
        self._run.stop()

    async def wait(self) -> None:
        """Wait for the end, and for `STOP_SECONDS` at most."""
        try:
            await asyncio.wait_for(self._gone.wait(), STOP_SECONDS)
        except asyncio.TimeoutError:
            self._log.write("warning", live=self._name, text="its source does not end, and is left alone")

    def _work(self) -> None:
        reason = ""
        try:
            self._run.run()
            reason = "it came to its end" if self._run.stopped == END else self._run.error
        except UserError as error:
            reason = str(error)
        except BaseException as error:  # a bug, which must not leave viewers waiting
            self._log.write("error", live=self._name, traceback="".join(traceback.format_exception(error)))
            reason = "internal error; the log has more"
        try:
            self._loop.call_soon_threadsafe(self._end, reason)
        except RuntimeError:  # the loop has ended, and with it all who waited
            return

    def _show(self, one: LiveFrame) -> None:
        self._observe(time.monotonic() - one.captured)
        self._moment = Moment(one)
        self._tell()

    def _end(self, reason: str) -> None:
        self.is_stopping, self.reason = True, reason
        self._log.write("live", live=self._name, state="ended", text=reason or None)
        self._gone.set()
        self._tell()

    def _tell(self) -> None:
        """Wake up all viewers.

        Who comes later waits for the next frame.
        """
        self._changed.set()
        self._changed = asyncio.Event()

    def _announce(self, sentence: str) -> None:
        self._log.write("live", live=self._name, state="lost", text=sentence)

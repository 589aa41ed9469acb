"""Thread that hands restored frames to a sink."""

from __future__ import annotations

import threading
from types import TracebackType

from ...temporary.places import finish
from ..errors import UserError
from ..video.pipeline import Channel
from .latency import Latencies
from .sinks import SEND_SECONDS, LiveFrame, Sink
from .sources.frames import Clock

_WAITING = 1
"""Frames that may wait for the sink; more would only grow old."""


class Output:
    """Context manager that hands frames on in a thread.

    Its end finishes the sink, whatever ended the block, unless the sink itself failed."""

    def __init__(self, sink: Sink, clock: Clock, window: Sink | None = None) -> None:
        self._sink, self._clock, self._window = sink, clock, window
        self._channel: Channel[LiveFrame] = Channel(_WAITING)
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)
        self._captured: dict[int, float] = {}
        self.latencies = Latencies()
        """Times from capture until a frame was out."""
        self.written = 0
        """Number of frames that are out."""

    def put(self, one: LiveFrame) -> None:
        """Hand on a frame, and wait for the one before.

        Raises:
            UserError: the sink takes none.
            BaseException: what the sink failed at.
        """
        try:
            self._channel.put(one, SEND_SECONDS)
        except TimeoutError as error:
            raise self._explain_stall() from error

    def __enter__(self) -> Output:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.end()
        finish(lambda: self._thread.join(SEND_SECONDS))
        if self._thread.is_alive():
            raise self._explain_stall()
        if kind is None or not issubclass(kind, Exception):  # else it may be what is raised already
            self._channel.check()

    def _explain_stall(self) -> UserError:
        return UserError(f"{self._sink.shown} took no frame for {SEND_SECONDS:.0f} s; look at its receiver")

    def _run(self) -> None:
        try:
            for one in self._channel:
                self._captured[one.ticks] = one.captured
                self._count(self._sink.write(one))
                if self._window is not None:
                    self._window.write(one)
            self._sink.finish()
        except BaseException as error:  # raised again in the thread that adds frames
            self._sink.abandon()
            self._channel.abandon(error)

    def _count(self, out: list[int]) -> None:
        now = self._clock()
        for ticks in out:
            self.latencies.add(now - self._captured.pop(ticks))
        self.written += len(out)

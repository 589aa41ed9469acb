"""Times of a run's steps, by marks in its stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .protocol import Cuda, Event, Stream

START, COPIED_IN, COMPUTED, COPIED_OUT = range(4)
"""Marks of a run: before the inputs are copied, after that, after the inference, and after the outputs were copied."""
Span = tuple[float, float]
"""Start and end in milliseconds since the origin of the marks."""


@dataclass(frozen=True)
class RunTimes:
    """Times of one run."""

    enqueue: Span
    """Time of the host to queue the inference, or the replay of a graph."""
    total: Span
    """Time of the GPU from the first to the last mark."""
    copy_in: Span | None = None
    """Copies of the inputs; None for a replayed graph, inside of which nothing can be marked."""
    compute: Span | None = None
    """Inference; None for a replayed graph."""
    copy_out: Span | None = None
    """Copies of the outputs; None for a replayed graph."""


class Marks:
    """Marks of one run, which the next run uses again.

    Marks cannot be read when they were captured, so a graph has one before and one behind it.
    """

    def __init__(self, cuda: Cuda, stream: Stream, clock: Callable[[], float], *, spin: bool = False) -> None:
        """Make the marks, and set their origin.

        The CUDA context must be current, here and in all methods.

        Args:
            cuda: the driver.
            stream: stream of the runs; its work must be done.
            clock: returns the seconds of the host.
            spin: see `Cuda.make_event`.

        Raises:
            CudaError: the GPU refuses.
        """
        self._stream, self._clock = stream, clock
        self._events: list[Event] = []
        self._passed: dict[int, Span] = {}
        try:
            for _ in range(COPIED_OUT + 2):
                self._events.append(cuda.make_event(timing=True, spin=spin))
            self._events[-1].record(stream)
            self._events[-1].synchronize()
            self._origin = clock()
        except BaseException:
            self.close()
            raise

    def set(self, mark: int) -> None:
        """Put a mark behind all queued work.

        `START` begins a run.
        """
        if mark == START:
            self._passed = {}
        before = self._clock()
        self._events[mark].record(self._stream)
        self._passed[mark] = (before, self._clock())

    def read(self) -> RunTimes:
        """Return the times of the last run.

        It must have ended.

        Raises:
            CudaError: the GPU refuses.
        """
        times = {mark: self._events[mark].measure_since(self._events[-1]) for mark in self._passed}
        total = (times[START], times[COPIED_OUT])
        if COMPUTED not in times:
            return RunTimes(self._measure_host(START, COPIED_OUT), total)
        spans = [(times[mark], times[mark + 1]) for mark in (START, COPIED_IN, COMPUTED)]
        return RunTimes(self._measure_host(COPIED_IN, COMPUTED), total, *spans)

    def _measure_host(self, first: int, last: int) -> Span:
        """Return the span of the host between two marks."""
        moments = self._passed[first][1], self._passed[last][0]
        start, end = (1000 * (moment - self._origin) for moment in moments)
        return start, end

    def close(self) -> None:
        """Destroy the events; may be called twice."""
        events, self._events = self._events, []
        for event in events:
            event.close()

"""Stream and events whose time a test sets."""

from __future__ import annotations


class TimedStream:
    """Stream whose GPU has the time `now`, in milliseconds."""

    def __init__(self) -> None:
        self.now = 0.0


class TimedEvent:
    """Event that notes the time of the stream."""

    def record(self, stream: TimedStream) -> None:
        self._time = stream.now

    def synchronize(self) -> None:
        """All work is done at once."""

    def measure_since(self, start: TimedEvent) -> float:
        return self._time - start._time

    def close(self) -> None:
        """Nothing is held."""


class TimedCuda:
    """Driver that makes such events."""

    def make_event(self, *, timing: bool = False, spin: bool = False) -> TimedEvent:
        assert timing, "marks need events with times"
        return TimedEvent()

"""Thread that captures frames.

A source that is lost is opened again, after waits that grow.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from ...errors import UserError
from .addresses import SourceName
from .frames import CapturedFrame, Clock, LostError, Reader
from .newest import NewestItem
from .raw import CsiReader, RawReader
from .streams import StreamReader

FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0
"""Seconds before a lost source is opened again; each wait is twice the one before, up to the longest."""
_JOIN_SECONDS = 2.0
"""Seconds that the thread has to end; one that hangs in a driver is left alone."""

OpenSource = Callable[[Callable[[], bool]], Reader]
"""Function that opens a source; it is given one that tells whether to stop."""


def make_opener(name: SourceName, max_pixels: int, clock: Clock) -> OpenSource:
    """Make the function that opens a source.

    Args:
        name: its name.
        max_pixels: largest number of pixels of a frame.
        clock: clock of the capture times.

    Raises:
        UserError: its name asks for larger frames.
    """
    if name.size is not None and name.size[0] * name.size[1] > max_pixels:
        raise UserError(f"frames of {name.shown} are more than {max_pixels} pixels; raise the limit with --max-pixels")
    if name.kind == "csi":
        return lambda stop: CsiReader(name, clock, stop)
    if name.kind == "pipe":
        return lambda stop: RawReader(0, name, 3, clock, stop)
    return lambda stop: StreamReader(name, max_pixels, clock)


class Capture:
    """Context manager that captures frames in a thread."""

    def __init__(
        self,
        open_source: OpenSource,
        retries: int,
        *,
        announce: Callable[[str], None] = lambda sentence: None,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        """Set up a capture.

        Args:
            open_source: opens the source, once and after each loss.
            retries: number of attempts to open a lost source before it is given up; a frame sets the count back.
                A source that never gave a frame is not tried again.
            announce: called with a sentence at each loss.
            wait: waits some seconds; None for a wait that the end of the capture breaks off.
        """
        self._open_source, self._retries, self._announce = open_source, retries, announce
        self._stopping = threading.Event()
        self._wait = wait or self._stopping.wait
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self.newest: NewestItem[CapturedFrame] = NewestItem()
        self.reconnects = 0
        """Number of times that a lost source was opened again."""
        self.damaged = 0
        """Number of frames that could not be decoded."""
        self.loss: str | None = None
        """Reason why the source is given up; None while it is not, and at its own end."""
        self.error: BaseException | None = None
        """Error that ended the capture, for the thread that takes frames."""

    def __enter__(self) -> Capture:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(_JOIN_SECONDS)

    def stop(self) -> None:
        """Let no more frames come; any thread may call it."""
        self._stopping.set()
        self.newest.end()

    def _run(self) -> None:
        try:
            self._capture()
        except BaseException as error:  # raised again in the thread that takes frames
            self.error = error
        finally:
            self.newest.end()

    def _capture(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            before = self.newest.put_count
            loss = self._read_once(is_again=before > 0)
            if loss is None or self._stopping.is_set():
                return
            failures = 0 if self.newest.put_count > before else failures
            if failures >= self._retries or self.newest.put_count == 0:
                self.loss = loss
                return
            seconds = min(LONGEST_WAIT, FIRST_WAIT * 2**failures)
            failures += 1
            self._announce(f"{loss}; trying again in {seconds:g} s ({failures} of {self._retries})")
            self._wait(seconds)

    def _read_once(self, is_again: bool) -> str | None:
        """Read a source until it ends.

        Returns:
            Why it was lost; None where it is at its end.
        """
        try:
            with self._open_source(self._stopping.is_set) as reader:
                self.reconnects += is_again
                try:
                    for frame in reader:
                        self.newest.put(frame)
                        if self._stopping.is_set():
                            return None
                finally:
                    self.damaged += reader.damaged
                return None if reader.finite or self._retries == 0 else "the stream ended"
        except LostError as error:
            return str(error)

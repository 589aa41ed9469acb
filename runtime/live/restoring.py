"""Restoration of one camera or stream."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..errors import UserError
from ..video.options import VideoOptions
from ..video.restoring import RestoreFunction, begin_scene, in_scene, note_reuse
from .output import Output
from .plans import place_frame, plan_live
from .sinks import STREAM_SUFFIX, LiveFrame, Sink, VideoSink
from .sources.capture import Capture, OpenSource
from .sources.frames import CapturedFrame, Clock

RETRIES = 10
"""Attempts to open a lost source where none are given: about three minutes."""
STALE_SECONDS = 10.0
"""Seconds without a frame after which the one before says nothing any more about what stands still."""
END, FRAMES, SECONDS, LOST, CLOSED, INTERRUPTED = "end", "frames", "seconds", "lost", "closed", "interrupted"
"""Reasons why a run stopped: the source's own end, either limit, a loss, a reader that is gone or `stop`, a signal."""


@dataclass(frozen=True)
class LiveOptions:
    """Limits of a run, and how its frames are encoded.

    Raises:
        UserError: a limit is out of range.
    """

    retries: int = RETRIES
    """Attempts to open a lost source before it is given up."""
    frames: int | None = None
    """Restored frames after which the run stops; None for no limit."""
    seconds: float | None = None
    """Seconds after the first frame when the run stops; None for no limit."""
    video: VideoOptions = field(default_factory=VideoOptions)

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise UserError(f"--retries {self.retries} is negative; expected 0 or more")
        if self.frames is not None and self.frames < 1:
            raise UserError(f"--frames {self.frames} is too few, expected 1 or more")
        if self.seconds is not None and not 0 < self.seconds < float("inf"):
            raise UserError(f"--seconds {self.seconds} is no length of time, expected more than 0")


class LiveRestoration:
    """Run over one source, with a report at any time."""

    def __init__(
        self,
        restorer: RestoreFunction,
        source: str,
        open_source: OpenSource,
        sink: Sink,
        options: LiveOptions,
        *,
        window: Sink | None = None,
        clock: Clock = time.monotonic,
        announce: Callable[[str], None] = lambda sentence: None,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        """Set up a run.

        Args:
            restorer: a `Restorer`, or any function with its signature.
            source: name of the source as it is shown.
            open_source: opens it, see `capture.make_opener`.
            sink: where frames go.
            options: limits and quality.
            window: place where frames are seen as well; None for none.
            clock: clock of capture times.
            announce: called with a sentence at each loss of the source.
            wait: waits some seconds before a lost source is opened again; None for a real wait.
        """
        self._scene = begin_scene(options.video, restorer)
        self._restorer = in_scene(restorer, self._scene)
        self._source, self._sink, self._options, self._clock = source, sink, options, clock
        self._capture = Capture(
            open_source, options.retries, announce=lambda loss: announce(f"{source}: {loss}"), wait=wait
        )
        self._output = Output(sink, clock, window)
        self._facts: dict[str, Any] = {"width": None, "height": None, "codec": None}
        self._density, self._restored = 0.0, 0
        self._began: float | None = None
        self._last_time: float | None = None
        self._last_ticks: int | None = None
        self._is_stopped = False
        self.stopped, self.error = INTERRUPTED, ""

    def run(self, progress: Callable[[], None] = lambda: None) -> None:
        """Restore frames until there is a reason to stop.

        Whatever ends it, what was restored until then is finished.

        Args:
            progress: called after each frame.

        Raises:
            UserError: no frame came, or the sink took none.
            BaseException: what ended it from outside, such as KeyboardInterrupt.
        """
        try:
            with self._capture as capture:
                first = capture.newest.take()
                if first is None and self._is_stopped:
                    self.stopped = CLOSED
                    return
                if first is None:
                    raise capture.error or UserError(f"no frame came from {self._source}: {capture.loss}")
                self._prepare(first)
                with self._output as output:
                    self._restore_all(first, output, progress)
        except BrokenPipeError:
            self.stopped = CLOSED
        except UserError as error:
            if not self._output.written:
                raise
            self.stopped, self.error = LOST, str(error)

    def stop(self) -> None:
        """End the run soon, as where a reader is gone.

        Any thread may call it, at any time.
        """
        self._is_stopped = True
        self._capture.stop()

    def report(self) -> dict[str, Any]:
        """Return facts and counts as JSON values."""
        out, capture = self._output, self._capture
        seconds = 0.0 if self._began is None else self._clock() - self._began
        return {
            "input": self._source,
            "output": self._sink.shown,
            **self._facts,
            "captured": capture.newest.put_count,
            "restored": out.written,
            "dropped": capture.newest.dropped,
            "damaged": capture.damaged,
            "reconnects": capture.reconnects,
            "density": self._density / self._restored if self._restored else 0.0,
            "reused": 0.0 if self._scene is None else self._scene.reused,
            "fps": out.written / seconds if seconds > 0 else 0.0,
            "latency_ms": {f"p{percent}": out.latencies.find_percentile(percent) for percent in (50, 99)},
            "seconds": seconds,
            "stopped": self.stopped,
            "error": self.error,
            "note": "; ".join(note_reuse(self._options.video, self._scene)),
        }

    def _prepare(self, first: CapturedFrame) -> None:
        """Plan the encoding by the first frame."""
        self._began = first.time
        width, height = first.frame.width, first.frame.height
        suffix = self._sink.suffix if isinstance(self._sink, VideoSink) else STREAM_SUFFIX
        encoding, self._converter = plan_live(first, self._source, self._options.video, suffix)
        codec = None
        if isinstance(self._sink, VideoSink):
            self._sink.set_encoding(encoding)
            codec = encoding.codec.name
        self._facts = {"width": width, "height": height, "codec": codec}

    def _restore_all(self, first: CapturedFrame, output: Output, progress: Callable[[], None]) -> None:
        one: CapturedFrame | None = first
        while one is not None:
            if (one.frame.width, one.frame.height) != (self._facts["width"], self._facts["height"]):
                raise UserError(
                    f"{self._source} now sends frames of {one.frame.width}x{one.frame.height} after "
                    f"{self._facts['width']}x{self._facts['height']}; start anew for them"
                )
            output.put(self._restore(one))
            progress()
            if self._restored == self._options.frames:
                self.stopped = FRAMES
                return
            left = None
            if self._options.seconds is not None:
                left = first.time + self._options.seconds - self._clock()
            one = self._capture.newest.take(left) if left is None or left > 0 else None
            if one is None:
                self._say_end()

    def _restore(self, one: CapturedFrame) -> LiveFrame:
        frame = self._converter.settle(one.frame)
        assert self._began is not None
        self._last_ticks = place_frame(frame, one.time - self._began, one.rate, self._last_ticks)
        pixels = self._converter.to_rgb(frame)
        self._forget_stale(one.time)
        result = self._restorer(pixels)
        self._density += result.density
        self._restored += 1
        return LiveFrame(self._last_ticks, one.time, frame, pixels, result.image, result.mask)

    def _forget_stale(self, captured: float) -> None:
        """Begin the scene anew after a silence."""
        if self._scene is not None and self._last_time is not None and captured - self._last_time > STALE_SECONDS:
            self._scene.forget()
        self._last_time = captured

    def _say_end(self) -> None:
        """Say why no frame follows."""
        capture = self._capture
        if self._is_stopped:
            self.stopped = CLOSED
            return
        if capture.error is not None:
            raise capture.error
        if not capture.newest.ended:
            self.stopped = SECONDS
        elif capture.loss is None:
            self.stopped = END
        else:
            self.stopped, self.error = LOST, f"{self._source} is lost: {capture.loss}"

"""Cameras of V4L2 and streams of a network, through PyAV."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from types import TracebackType
from typing import Any

from ...errors import UserError
from ...video.options import load_av
from .addresses import PROTOCOLS, SourceName
from .frames import USUAL_RATE, CapturedFrame, Clock, LostError

OPEN_SECONDS = 10.0
READ_SECONDS = 10.0
"""Seconds that a source may take to answer, and then for each packet."""

_FORMATS = "mpegts,rtsp,rtp,sdp,flv,mov,mp4,matroska,webm,mjpeg,mpjpeg,h264,hevc,nut,rawvideo"
"""FFmpeg's readers that streams may use; none of them opens further addresses but RTSP, within its protocols."""
_FORCED = {"rtsp": "rtsp", "rtsps": "rtsp", "rtmp": "flv", "rtmps": "flv", "udp": "mpegts"}
_PROBED = {"analyzeduration": "1000000", "probesize": "500000"}
"""Microseconds and bytes by which FFmpeg finds out what a stream holds."""


def list_options(name: SourceName) -> dict[str, str]:
    """List FFmpeg's options for a source."""
    if name.kind == "camera":
        options = {"video_size": "{}x{}".format(*name.size)} if name.size else {}
        return options | ({"framerate": str(name.rate)} if name.rate else {})
    options = {"protocol_whitelist": PROTOCOLS[name.kind], "format_whitelist": _FORMATS, **_PROBED}
    if name.kind.startswith("rtsp"):
        options["rtsp_transport"] = "tcp"  # no packet is lost, and no port has to be opened for the answer
    if name.kind == "udp":
        options["overrun_nonfatal"] = "1"
    return options


def _find_place(name: SourceName) -> tuple[str, str | None]:
    """Return FFmpeg's name of the source and of its reader."""
    if name.kind == "camera":
        return f"/dev/video{name.number}", "v4l2"
    return name.address, _FORCED.get(name.kind)


class StreamReader:
    """Camera or stream that PyAV reads."""

    def __init__(self, name: SourceName, max_pixels: int, clock: Clock) -> None:
        """Open the source.

        Args:
            name: its name.
            max_pixels: largest number of pixels of a frame.
            clock: clock of the capture times.

        Raises:
            LostError: it does not answer.
            UserError: it has no video, or its frames are too large.
        """
        place, format = _find_place(name)
        self._name, self._max_pixels, self._clock = name, max_pixels, clock
        self.damaged = 0
        with _losing():
            self._container = load_av().open(
                place, format=format, container_options=list_options(name), metadata_errors="replace",
                timeout=(OPEN_SECONDS, READ_SECONDS),
            )  # fmt: skip
        try:
            if not self._container.streams.video:
                raise UserError(f"{name.shown} has no video; expected a stream with one")
            self._stream = self._container.streams.video[0]
            context = self._stream.codec_context
            self._check_size(context.width, context.height)
        except BaseException:
            self._container.close()
            raise
        context.thread_type = "NONE"  # threads of frames would each hold one back
        self.finite = name.kind.startswith("http") and self._container.duration is not None

    def __iter__(self) -> Iterator[CapturedFrame]:
        """Yield frames with the times of their packets."""
        stream = self._stream
        rate = Fraction(stream.average_rate or stream.guessed_rate or self._name.rate or USUAL_RATE)
        aspect = stream.sample_aspect_ratio
        packets = self._container.demux(stream)
        while True:
            with _losing():
                packet = next(packets, None)
            if packet is None:
                return
            captured = self._clock()
            for frame in self._decode(packet):
                self._check_size(frame.width, frame.height)
                yield CapturedFrame(frame, captured, rate, Fraction(aspect) if aspect and aspect != 1 else None)

    def __enter__(self) -> StreamReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    def _decode(self, packet: Any) -> list[Any]:
        try:
            return list(packet.decode())
        except load_av().error.FFmpegError:
            self.damaged += 1
            return []

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self._max_pixels:
            raise UserError(
                f"cannot read {self._name.shown}: frames of {width}x{height} are more than {self._max_pixels} pixels; "
                "raise the limit with --max-pixels"
            )


@contextlib.contextmanager
def _losing() -> Iterator[None]:
    """Turn FFmpeg's errors, whose texts hold addresses, into losses without."""
    errors = load_av().error
    try:
        yield
    except errors.ExitError as error:
        raise LostError("it does not answer in time") from error
    except errors.FFmpegError as error:
        raise LostError(error.strerror or type(error).__name__) from error

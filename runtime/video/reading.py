"""Reading of video files, frame by frame."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..errors import UserError, quote
from .colour import Colour, FrameConverter, read_colour
from .formats import SampleFormat, parse_format
from .kinds import find_video
from .options import load_av

_UNUSUAL_RATE = Fraction(25)
"""Frames a second of a file that does not say."""
_MICROSECONDS = 1_000_000
"""Ticks a second of a container's own duration."""
_HDR = {"MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL", "DYNAMIC_HDR_PLUS", "DOVI_METADATA", "DOVI_RPU_BUFFER"}
"""Names of a frame's data on screens, which encoders do not take from a frame."""


@dataclass(frozen=True)
class VideoFacts:
    """Facts about the video of a file."""

    path: Path
    index: int
    """Number of its stream in the file."""
    codec: str
    width: int
    height: int
    time_base: Fraction
    """Seconds of one tick of a frame's time."""
    rate: Fraction
    """Frames a second on average."""
    frames: int | None
    """Number of frames as the file says, or as its duration makes likely; None where it says neither."""
    counted: bool
    """Whether the file itself counts its frames."""
    samples: SampleFormat
    colour: Colour
    aspect: Fraction | None
    """Width of a pixel over its height; None where the file does not say."""
    display_matrix: tuple[int, ...] | None
    """Rotation and mirroring by which players show it, nine numbers as in the file; None for none."""
    dropped: tuple[str, ...]
    """Names of data in the frames that a result does not have."""


@dataclass
class SourceFrame:
    """Decoded frame on its way to be restored."""

    number: int
    """Position in the video, from 0."""
    time: int
    """Time at which it is shown, in ticks."""
    duration: int
    """Ticks that it is shown for, as far as the file says."""
    frame: Any
    """The frame in the format of results."""
    pixels: np.ndarray
    """[H, W, 3] uint8 or uint16, RGB."""
    damaged: bool = False
    """Whether the decoder says that data are lost."""
    lost_before: int = 0
    """Number of frames just before it that could not be decoded at all."""


@contextlib.contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Turn FFmpeg's errors about a file into sentences.

    Raises:
        UserError: FFmpeg refuses the file.
    """
    av = load_av()
    try:
        yield
    except av.error.FFmpegError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(f"cannot read {path}: {reason}; expected a video that FFmpeg reads") from error


def open_container(path: Path) -> Any:
    """Open a video file for reading.

    Its kind is known by its content, and nothing but local files is opened, whatever it holds.

    Raises:
        UserError: it is no video, or FFmpeg refuses it.
    """
    av = load_av()
    kind = find_video(path)
    if kind is None:
        raise UserError(f"cannot read {path}: it is no video; expected MP4, MOV, Matroska, WebM, AVI or MPEG")
    with explaining(path):
        return av.open(
            f"file:{path.absolute()}",
            format=kind,
            container_options={"protocol_whitelist": "file"},
            metadata_errors="replace",
        )


def find_stream(container: Any, path: Path) -> Any:
    """Find the video to restore, which is no cover picture.

    Raises:
        UserError: there is none.
    """
    av = load_av()
    pictures = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    streams = [one for one in container.streams.video if one.codec_context and not one.disposition & pictures]
    if not streams:
        raise UserError(f"cannot restore {path}: it holds no video that FFmpeg decodes, only other streams")
    return max(streams, key=lambda one: (bool(one.disposition & 1), one.width * one.height))


def read_facts(path: Path, max_pixels: int) -> VideoFacts:
    """Read the facts of a video.

    Raises:
        UserError: the file is no video, no frame can be decoded, its frames are too large or interlaced, or its colours
            are not converted.
    """
    with open_container(path) as container:
        stream = find_stream(container, path)
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > max_pixels:
            raise UserError(
                f"cannot read {path}: frames of {width}x{height} are more than {max_pixels} pixels; raise the limit "
                "with --max-pixels"
            )
        with explaining(path):
            frame = next((frame for frame, _, _ in decode(container, stream) if frame is not None), None)
        if frame is None:
            raise UserError(f"cannot read {path}: no frame of its video ({stream.codec_context.name}) can be decoded")
        _check_progressive(frame, path)
        return _make_facts(path, container, stream, frame)


def _check_progressive(frame: Any, path: Path) -> None:
    if frame.interlaced_frame:
        raise UserError(
            f"cannot restore {path}: its frames are interlaced, so each shows two moments; make whole frames of it "
            f"first: ffmpeg -i {quote(path)} -vf bwdif -c:a copy progressive.mkv"
        )


def _make_facts(path: Path, container: Any, stream: Any, frame: Any) -> VideoFacts:
    rate = next((rate for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate), _UNUSUAL_RATE)
    components = frame.format.components
    palette = frame.format.has_palette
    samples = parse_format(
        frame.format.name, components[0].bits, frame.format.is_rgb or palette, any(one.is_alpha for one in components)
    )
    data = {item.type.name: item for item in frame.side_data}
    matrix = struct.unpack("=9i", bytes(data["DISPLAYMATRIX"])) if "DISPLAYMATRIX" in data else None
    aspect = stream.sample_aspect_ratio
    return VideoFacts(
        path=path,
        index=stream.index,
        codec=stream.codec_context.name,
        width=frame.width,
        height=frame.height,
        time_base=stream.time_base,
        rate=Fraction(rate),
        frames=_estimate_frames(container, stream, rate),
        counted=bool(stream.frames),
        samples=samples,
        colour=read_colour(frame, samples.full, str(path)),
        aspect=Fraction(aspect) if aspect and aspect != 1 else None,
        display_matrix=matrix,
        dropped=("HDR metadata",) if _HDR & data.keys() else (),
    )


def _estimate_frames(container: Any, stream: Any, rate: Fraction) -> int | None:
    if stream.frames:
        return int(stream.frames)
    if stream.duration:
        return max(1, round(stream.duration * stream.time_base * rate))
    return max(1, round(Fraction(container.duration, _MICROSECONDS) * rate)) if container.duration else None


def decode(container: Any, stream: Any) -> Iterator[tuple[Any, Any, int]]:
    """Decode a stream in order.

    One thread decodes, since with several FFmpeg leaves some damage unsaid.

    Yields:
        Frames, None and the number of frames that failed between them: (frame, None, 0) or (None, error, 1).
    """
    av = load_av()
    context = stream.codec_context
    context.thread_type, context.thread_count = "NONE", 1
    context.flags |= int(av.codec.context.Flags.output_corrupt)
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            frames = packet.decode()
        except av.error.FFmpegError as error:
            yield None, error, 1
            continue  # a generator that failed is at its end, as is the file
        for frame in frames:
            yield frame, None, 0


class VideoSource:
    """Context manager that yields the frames of a file."""

    def __init__(self, facts: VideoFacts, format: str, depth: int, colour: Colour) -> None:
        """Open the file.

        Args:
            facts: its facts.
            format: FFmpeg's name of the format of results.
            depth: bits of their samples.
            colour: meaning of their samples.

        Raises:
            UserError: it cannot be opened any more.
        """
        self._facts = facts
        self._converter = FrameConverter(format, depth, colour, facts.samples.kind)
        self._container = open_container(facts.path)
        self.lost_after = 0
        """Number of frames behind the last one that could not be decoded."""
        self.retimed = 0
        """Number of frames that had no time, or not a later one than the frame before."""
        self.interlaced = 0
        """Number of later frames that the decoder calls interlaced."""

    def frames(self, skip: int = 0) -> Iterator[SourceFrame]:
        """Yield frames with their times.

        Args:
            skip: number of frames at the beginning that are decoded and left out.

        Raises:
            UserError: a frame has another size than those before.
        """
        stream = self._container.streams[self._facts.index]
        tick = max(1, round(1 / (self._facts.rate * self._facts.time_base)))
        number, last = 0, None
        for frame, _, lost in decode(self._container, stream):
            if frame is None:
                self.lost_after += lost
                continue
            self._check_size(frame, number)
            wanted = frame.pts
            time = wanted if wanted is not None else 0 if last is None else last + tick
            if last is not None and time <= last:
                time = last + 1
            self.retimed += time != wanted
            self.interlaced += bool(frame.interlaced_frame)
            number, last, lost_before, self.lost_after = number + 1, time, self.lost_after, 0
            if number > skip:
                yield self._prepare(frame, number - 1, time, frame.duration or tick, lost_before)

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def __enter__(self) -> VideoSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self, decoded: Any, number: int, time: int, duration: int, lost_before: int) -> SourceFrame:
        frame = self._converter.settle(decoded)
        frame.pts, frame.time_base, frame.duration = time, self._facts.time_base, duration
        damaged = bool(decoded.is_corrupt)
        return SourceFrame(number, time, duration, frame, self._converter.to_rgb(frame), damaged, lost_before)

    def _check_size(self, frame: Any, number: int) -> None:
        facts = self._facts
        if (frame.width, frame.height) != (facts.width, facts.height):
            raise UserError(
                f"cannot restore {facts.path}: frame {number} is {frame.width}x{frame.height} after frames of "
                f"{facts.width}x{facts.height}; cut the video there, and restore the parts"
            )

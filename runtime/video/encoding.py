"""Encoding of restored frames, one segment after the other.

A segment is a file of the container NUT, which keeps times of any unit. Its times begin at `FIRST_TICK`, and
those of the result are put in when segments are joined.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..errors import UserError
from .colour import LIMITED, Colour, FrameConverter
from .formats import choose_format
from .options import VideoCodec, VideoOptions, load_av
from .reading import SourceFrame, VideoFacts
from .segments import Segment, SegmentFolder

SEGMENT_FRAMES = 120
"""Frames of a segment: work that a kill loses, and the distance between two frames that players can jump to."""
FIRST_TICK = 1 << 20
"""Time of a segment's first frame; positive, so that NUT shifts no time that lies before it."""

_SILENT = {"libsvtav1": ("SVT_LOG", "1")}
"""Encoder -> variable and value by which its library prints errors alone."""


@dataclass(frozen=True)
class Encoding:
    """Way in which the frames of one video are encoded."""

    codec: VideoCodec
    options: tuple[tuple[str, str], ...]
    """Options of FFmpeg's encoder."""
    format: str
    """FFmpeg's name of the format of frames."""
    depth: int
    time_base: Fraction
    rate: Fraction
    colour: Colour
    aspect: Fraction | None

    def pad(self, side: int, across: bool) -> int:
        """Return a side as the codec takes it.

        Args:
            side: width or height in pixels.
            across: whether it is the width.
        """
        halved = "420" in self.format or (across and "422" in self.format)
        return side + side % 2 if self.codec.needs_even_sides and halved else side


def plan_encoding(facts: VideoFacts, options: VideoOptions, suffix: str) -> Encoding:
    """Choose codec and format of a result.

    Raises:
        UserError: the options do not fit the container, or this PyAV lacks the encoder.
    """
    codec = options.choose(suffix, facts.samples.depth, min(facts.width, facts.height))
    encoder = _find_encoder(codec)
    format = choose_format(facts.samples, [one.name for one in encoder.video_formats or ()], codec.encoder)
    depth = int(load_av().VideoFormat(format).components[0].bits)
    colour = facts.colour
    if facts.samples.kind == "rgb":  # frames come in another form than the file's, and say which
        colour = colour._replace(range=LIMITED, named_matrix=colour.matrix)
    return Encoding(
        codec, tuple(codec.list_options(options.crf, options.preset).items()), format, depth, facts.time_base,
        facts.rate, colour, facts.aspect,
    )  # fmt: skip


def _find_encoder(codec: VideoCodec) -> Any:
    av = load_av()
    try:
        return av.codec.Codec(codec.encoder, "w")
    except (av.error.FFmpegError, ValueError) as error:
        raise UserError(
            f"this installation of av has no encoder {codec.encoder}; install the package of its project, "
            "pip install --force-reinstall av, or give another --codec"
        ) from error


@dataclass
class RestoredFrame:
    """Frame with its restored pixels."""

    source: SourceFrame
    pixels: np.ndarray | None
    """[H, W, 3] as in `SourceFrame.pixels`; None for a frame that is passed on as it was decoded."""
    density: float = 0.0
    """Share of its pixels that were restored."""


class SegmentWriter:
    """Sink that encodes frames into a folder of segments.

    It is a context manager, which closes the file of a segment that is not whole."""

    def __init__(self, folder: SegmentFolder, encoding: Encoding) -> None:
        self._folder, self._encoding = folder, encoding
        self._converter = FrameConverter(encoding.format, encoding.depth, encoding.colour)
        self._open: _OpenSegment | None = None

    def write(self, one: RestoredFrame) -> None:
        """Encode a frame; a segment that is full is finished."""
        frame = one.source.frame
        if one.pixels is not None:
            frame = self._converter.to_frame(frame, one.source.pixels, one.pixels)
        frame = pad_frame(frame, self._encoding, self._converter)
        if self._open is None:
            self._open = _OpenSegment(self._folder.next_file(), self._encoding, frame)
        self._open.write(one, frame)
        if self._open.frames == SEGMENT_FRAMES:
            self.finish()

    def finish(self) -> None:
        """Finish the segment at hand, if there is one."""
        if self._open is not None:
            self._folder.add(self._open.finish())
            self._open = None

    def __enter__(self) -> SegmentWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            self._open.abandon()


def pad_frame(frame: Any, encoding: Encoding, converter: FrameConverter) -> Any:
    """Repeat the edge where the codec needs even sides."""
    width, height = encoding.pad(frame.width, True), encoding.pad(frame.height, False)
    if (width, height) == (frame.width, frame.height):
        return frame
    padded = load_av().VideoFrame(width, height, encoding.format)
    padded.pts, padded.time_base, padded.duration = frame.pts, frame.time_base, frame.duration
    for target, plane in zip(converter.planes(padded), converter.planes(frame), strict=True):
        rows, columns = (more - less for more, less in zip(target.shape, plane.shape, strict=True))
        target[:] = np.pad(plane, ((0, rows), (0, columns)), mode="edge")
    return padded


class _OpenSegment:
    """Segment that is being written."""

    def __init__(self, path: Path, encoding: Encoding, frame: Any) -> None:
        av = load_av()
        self._path = path
        if encoding.codec.encoder in _SILENT:
            os.environ.setdefault(*_SILENT[encoding.codec.encoder])
        self._container = av.open(f"file:{path.absolute()}", "w", format="nut")
        self._stream = open_encoder(self._container, encoding, frame.width, frame.height)
        self._plain = av.video.frame.PictureType.NONE
        self._entry: Segment | None = None
        self._times: list[int] = []
        """Times of packets in the order that they are decoded in."""

    @property
    def frames(self) -> int:
        """Number of frames so far."""
        return self._entry.frames if self._entry else 0

    def write(self, one: RestoredFrame, frame: Any) -> None:
        """Encode one frame."""
        source = one.source
        entry = self._entry or Segment(self._path.name, 0, 0, source.time, 0, 0, 0.0, 0, [], 0)
        self._entry = replace(
            entry,
            frames=entry.frames + 1,
            duration=source.duration,
            density=entry.density + one.density,
            restored=entry.restored + (one.pixels is not None),
            damaged=[*entry.damaged, source.time] if source.damaged else entry.damaged,
            lost=entry.lost + source.lost_before,
        )
        frame.pict_type = self._plain  # else the encoder repeats the kinds of frames of the input
        self._mux(self._stream.encode(frame))

    def finish(self) -> Segment:
        """Write what the encoder holds, and close the file."""
        assert self._entry is not None
        self._mux(self._stream.encode(None))
        self._container.close()
        places = {time: place for place, time in enumerate(sorted(self._times))}
        delay = max(place - places[time] for place, time in enumerate(self._times))
        return replace(self._entry, size=self._path.stat().st_size, delay=delay)

    def abandon(self) -> None:
        """Close the file of a segment that is not whole."""
        with contextlib.suppress(load_av().error.FFmpegError):  # such as a full disk, which was said before
            self._container.close()

    def _mux(self, packets: Any) -> None:
        assert self._entry is not None
        for packet in packets:
            packet.pts += FIRST_TICK - self._entry.start
            packet.dts = len(self._times)
            self._times.append(packet.pts)
            self._container.mux(packet)


def open_encoder(container: Any, encoding: Encoding, width: int, height: int) -> Any:
    """Add a stream with an encoder to a container.

    Raises:
        ValueError: the container does not hold the codec.
    """
    av = load_av()
    stream = container.add_stream(encoding.codec.encoder, rate=encoding.rate, options=dict(encoding.options))
    stream.width, stream.height, stream.pix_fmt = width, height, encoding.format
    stream.codec_context.time_base = encoding.time_base
    stream.time_base = encoding.time_base
    stream.codec_context.flags |= int(av.codec.context.Flags.global_header)
    set_colour(stream, encoding)
    return stream


def set_colour(stream: Any, encoding: Encoding) -> None:
    """Write into a stream what its samples mean.

    That is their colours, and the shape of pixels."""
    context, colour = stream.codec_context, encoding.colour
    context.color_range, context.colorspace = colour.range, colour.named_matrix
    context.color_primaries, context.color_trc = colour.primaries, colour.transfer
    if encoding.aspect is not None:
        context.sample_aspect_ratio = encoding.aspect

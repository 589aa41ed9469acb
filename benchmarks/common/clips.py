"""Clips whose frames carry their number, readable after lossy coding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

BITS = 18
"""Bits of a number: three rows of six squares."""
SQUARE = 8
"""Side of a square in pixels."""
WIDTH, HEIGHT = 6 * SQUARE, 4 * SQUARE
"""Smallest clip; below the squares is room for something to restore."""


def burn_number(pixels: np.ndarray, number: int) -> np.ndarray:
    """Write a number into a picture in place.

    It becomes black and white squares.

    Args:
        pixels: [H, W, 3], at least `HEIGHT` x `WIDTH`.
        number: 0 to 2^BITS - 1.
    """
    white = np.iinfo(pixels.dtype).max
    for bit in range(BITS):
        row, column = divmod(bit, 6)
        place = pixels[SQUARE * row : SQUARE * (row + 1), SQUARE * column : SQUARE * (column + 1)]
        place[:] = white if number >> bit & 1 else 0
    return pixels


def read_number(frame: Any) -> int:
    """Read the number of a frame."""
    gray = frame.to_ndarray(format="gray")
    rows = gray[: 3 * SQUARE, : 6 * SQUARE].reshape(3, SQUARE, 6, SQUARE).mean(axis=(1, 3)).ravel()
    return sum(1 << bit for bit, value in enumerate(rows) if value > 127)


def read_numbers(path: Path) -> list[int]:
    """Read the numbers of all frames of a clip."""
    with av.open(str(path)) as container:
        return [read_number(frame) for frame in container.decode(video=0)]


def read_times(path: Path) -> list[Fraction]:
    """Read the times of all frames in seconds."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def draw_frame(number: int, width: int, height: int, type: Any = np.uint8) -> np.ndarray:
    """Draw a soft picture with its number."""
    rows, columns = np.mgrid[0:height, 0:width]
    phase = number / 10
    waves = [0.5 + 0.4 * np.sin(columns / 9 + rows / 7 + phase + shift) for shift in (0.0, 1.0, 2.0)]
    pixels = np.stack(waves, axis=-1) * np.iinfo(type).max
    return burn_number(pixels.astype(type), number)


def write_clip(
    path: Path,
    frames: int = 12,
    *,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    codec: str = "libx264",
    format: str = "yuv420p",
    options: dict[str, str] | None = None,
    times: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    prepare: Callable[[Any, Any], None] = lambda container, stream: None,
    convert: Callable[[Any], Any] = lambda frame: frame,
    draw: Callable[[int, int, int], np.ndarray] = draw_frame,
) -> Path:
    """Write a clip.

    Args:
        path: the file; its suffix decides the container.
        frames: number of frames.
        size: width and height.
        codec: FFmpeg's encoder.
        format: FFmpeg's format of samples.
        options: options of the encoder.
        times: times of the frames in ticks; None for 0, 1, 2 ...
        time_base: seconds of a tick.
        prepare: called with container and stream before the first frame.
        convert: turns a frame of RGB into what is encoded.
        draw: draws the picture of (number, width, height).
    """
    movie = {"movie_timescale": str(time_base.denominator)} if path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", container_options=movie) as container:
        stream = container.add_stream(codec, rate=Fraction(25), options=options or {"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = *size, format
        stream.codec_context.time_base = stream.time_base = time_base
        prepare(container, stream)
        for number, time in enumerate(times or range(frames)):
            frame = convert(av.VideoFrame.from_ndarray(draw(number, *size), "rgb24"))
            frame.pts, frame.time_base = time, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def list_packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    """List times and contents of the packets of a kind."""
    return [(pts * base, data) for pts, base, data in _read_packets(path, kind)]


def _read_packets(path: Path, kind: str) -> Iterator[tuple[int, Fraction, bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.best(kind)
        for packet in container.demux(stream):
            if packet.size:
                yield packet.pts, packet.time_base, bytes(packet)

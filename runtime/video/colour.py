"""Conversion between decoded frames and RGB arrays.

Samples of a result are the decoded ones plus what the restoration changed. So samples that it left alone stay bit for
bit, and conversions there and back cost the others nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..errors import UserError
from .options import load_av

LIMITED, FULL = 1, 2
"""FFmpeg's numbers of ranges: black is 16 of 255, or 0."""
_UNKNOWN = 2
"""FFmpeg's number of a colour matrix, primaries or curve that the file does not name."""
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}
"""Number of a matrix in a file -> number of the same one in FFmpeg's scaler."""
_BILINEAR, _FULL_INSIDE, _FULL_INPUT, _ACCURATE = 2, 0x2000, 0x4000, 0x40000
"""Flags of FFmpeg's scaler: SWS_BILINEAR, SWS_FULL_CHR_H_INT, SWS_FULL_CHR_H_INP, SWS_ACCURATE_RND. PyAV has names for
the last three only since 18.0."""
_REFUSED = {8: "YCgCo", 10: "BT.2020 with constant luminance", 11: "SMPTE 2085", 14: "ICtCp", 15: "IPT-C2"}
_LARGEST_SD = (1024, 576)
"""Largest sides of pictures that players take for BT.601 where a file does not say; larger ones are BT.709."""


class Colour(NamedTuple):
    """Meaning of the samples of a video."""

    matrix: int
    """FFmpeg's number of the matrix between RGB and the samples, from the file or as players guess it."""
    range: int
    """LIMITED or FULL."""
    primaries: int
    transfer: int
    named_matrix: int
    """Number of the matrix in the file, where it may be unknown."""


def read_colour(frame: Any, full: bool, name: str) -> Colour:
    """Read what the samples of a frame mean.

    Args:
        frame: decoded frame.
        full: whether its format says that black is 0.
        name: words that messages call the file by.

    Raises:
        UserError: its colour matrix is not converted.
    """
    found = int(frame.colorspace)
    if found in _REFUSED:
        raise UserError(
            f"cannot restore {name}: its colour matrix {_REFUSED[found]} is not converted; convert the video to BT.709 "
            "or BT.2020 first"
        )
    small = frame.width <= _LARGEST_SD[0] and frame.height <= _LARGEST_SD[1]
    matrix = found if found in _MATRICES else 6 if small else 1
    is_full = full or int(frame.color_range) == FULL
    return Colour(matrix, FULL if is_full else LIMITED, int(frame.color_primaries), int(frame.color_trc), found)


class FrameConverter:
    """Conversion of the frames of one video.

    One thread makes arrays of frames while another one makes frames of arrays, each with its own converter.
    """

    def __init__(self, format: str, depth: int, colour: Colour, kind: str = "yuv") -> None:
        """Set up a conversion.

        Args:
            format: FFmpeg's name of the planar format of results.
            depth: bits of its samples.
            colour: meaning of its samples.
            kind: kind of decoded samples, "yuv", "gray" or "rgb".
        """
        av = load_av()
        from av.video.reformatter import VideoReformatter

        self._frame, self._reformatter = av.VideoFrame, VideoReformatter()
        self._format, self._colour, self._kind = format, colour, kind
        self._largest = (1 << depth) - 1
        self._type = np.dtype(np.uint8 if depth <= 8 else np.uint16)
        self._rgb = "rgb24" if depth <= 8 else "rgb48le"
        self._matrix = _MATRICES[colour.matrix]
        self._flags = _BILINEAR | _FULL_INSIDE | _FULL_INPUT | _ACCURATE
        # With more than 8 bits, FFmpeg 8 gives wrong colours where it enlarges colour differences on the way to RGB.
        self._enlarged = f"yuv444p{depth}le" if depth > 8 else format

    def settle(self, frame: Any) -> Any:
        """Bring a decoded frame to the format of results.

        Samples stay as they are wherever that format holds them.
        """
        if frame.format.name == self._format:
            return frame
        if self._kind == "gray":
            return self._spread_gray(frame)
        source = FULL if self._kind == "rgb" else self._colour.range
        return self._convert(frame, self._format, source, self._colour.range)

    def to_rgb(self, frame: Any) -> np.ndarray:
        """Convert a frame to RGB.

        Args:
            frame: a frame in the format of results.

        Returns:
            [H, W, 3] uint8, or uint16 for more than 8 bits, black 0 and white the largest value.
        """
        own = self._colour.range
        enlarged = self._convert(frame, self._enlarged, own, own)
        rgb: np.ndarray = self._convert(enlarged, self._rgb, own, FULL).to_ndarray()
        return rgb

    def to_frame(self, frame: Any, pixels: np.ndarray, restored: np.ndarray) -> Any:
        """Put what a restoration changed into a frame.

        Args:
            frame: the frame in the format of results; it is changed in place.
            pixels: its RGB, as `to_rgb` gave it.
            restored: its restored RGB. One of another size gives a frame of that size.

        Returns:
            The very frame where nothing changed.
        """
        if restored.shape != pixels.shape:
            return self._to_new_frame(frame, restored)
        changed = (restored != pixels).any(axis=2)
        if not changed.any():
            return frame
        before, after = self._from_rgb(pixels), self._from_rgb(restored)
        frame.make_writable()
        for own, old, new in zip(self.planes(frame), self.planes(before), self.planes(after), strict=True):
            touched = _shrink(changed, own.shape)
            moved = own.astype(np.int32) + new - old
            np.copyto(own, np.clip(moved, 0, self._largest).astype(self._type), where=touched)
        return frame

    def planes(self, frame: Any) -> list[np.ndarray]:
        """Return the planes of a frame, on its memory."""
        size = self._type.itemsize
        return [
            np.frombuffer(plane, self._type).reshape(plane.height, plane.line_size // size)[:, : plane.width]
            for plane in frame.planes
        ]

    def _to_new_frame(self, frame: Any, restored: np.ndarray) -> Any:
        made = self._from_rgb(restored)
        made.pts, made.time_base, made.duration = frame.pts, frame.time_base, frame.duration
        return made

    def _from_rgb(self, pixels: np.ndarray) -> Any:
        rgb = self._frame.from_ndarray(np.ascontiguousarray(pixels), self._rgb)
        return self._convert(rgb, self._format, FULL, self._colour.range)

    def _convert(self, frame: Any, format: str, source: int, target: int) -> Any:
        frame.colorspace = self._colour.matrix  # PyAV 17 takes no number of BT.2020 as an argument
        return self._reformatter.reformat(
            frame, format=format, src_colorspace=self._matrix, dst_colorspace=self._matrix, src_color_range=source,
            dst_color_range=target, interpolation=self._flags, threads=1,
        )  # fmt: skip

    def _spread_gray(self, frame: Any) -> Any:
        """Make a frame with colour differences of zero.

        FFmpeg's own conversion takes gray for the full range.
        """
        made = self._frame(frame.width, frame.height, self._format)
        shift = self._largest.bit_length() - frame.format.components[0].bits
        gray = self.planes(frame)[0]
        values = gray.astype(np.int32) << shift if shift >= 0 else gray.astype(np.int32) >> -shift
        for index, plane in enumerate(self.planes(made)):
            plane[:] = values if index == 0 else (self._largest + 1) // 2
        made.pts, made.time_base, made.duration = frame.pts, frame.time_base, frame.duration
        return made


def _shrink(changed: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Tell which samples of a plane stand for changed pixels."""
    if changed.shape == shape:
        return changed
    height, width = changed.shape
    down, across = -(-height // shape[0]), -(-width // shape[1])
    padded = np.zeros((shape[0] * down, shape[1] * across), bool)
    padded[:height, :width] = changed
    return np.asarray(padded.reshape(shape[0], down, shape[1], across).any(axis=(1, 3)))

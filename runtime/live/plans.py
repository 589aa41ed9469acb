"""Choice of codec and format for live frames."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..video.colour import FrameConverter, read_colour
from ..video.encoding import Encoding, plan_encoding
from ..video.formats import parse_format
from ..video.options import VideoOptions
from ..video.reading import VideoFacts
from .sources.frames import CapturedFrame

TICK = Fraction(1, 90_000)
"""Seconds of one tick of a result's times, as in MPEG."""
PRESET = "veryfast"
"""Effort of the encoder where none is given."""
KEY_SECONDS = 2
"""Seconds between two frames of a stream at which a player can begin."""

_APART = 90
"""Ticks between two frames at least: a millisecond, since some containers know no shorter time."""
_AT_ONCE = {
    "h264": (("tune", "zerolatency"),),
    "hevc": (("tune", "zerolatency"),),
    "vp9": (("deadline", "realtime"), ("lag-in-frames", "0")),
}
"""Codec -> options by which it gives each frame at once, in place of looking ahead."""


def plan_live(first: CapturedFrame, name: str, options: VideoOptions, suffix: str) -> tuple[Encoding, FrameConverter]:
    """Choose how frames are encoded.

    Colour differences become 4:2:0, which every player and receiver takes.

    Args:
        first: first frame of the source.
        name: name of the source, for messages.
        options: codec and quality.
        suffix: suffix of a file, or of one with the same codecs as the stream.

    Returns:
        The encoding, and the converter of captured frames.

    Raises:
        UserError: the options do not fit, or the colours are not converted.
    """
    frame = first.frame
    components, is_rgb = frame.format.components, frame.format.is_rgb or frame.format.has_palette
    samples = parse_format(frame.format.name, components[0].bits, is_rgb, any(one.is_alpha for one in components))
    colour = read_colour(frame, samples.full, name)
    samples = samples._replace(name="", sampling="420")
    facts = VideoFacts(
        path=Path(name), index=0, codec="", width=frame.width, height=frame.height, time_base=TICK,
        rate=first.rate, frames=None, counted=False, samples=samples, colour=colour, aspect=first.aspect,
        display_matrix=None, dropped=(),
    )  # fmt: skip
    encoding = plan_encoding(facts, replace(options, preset=options.preset or _choose_preset(options)), suffix)
    own = dict(encoding.options) | dict(_AT_ONCE.get(encoding.codec.name, ()))
    if encoding.codec.name != "ffv1":
        own["g"] = str(max(1, round(KEY_SECONDS * first.rate)))
    return replace(encoding, options=tuple(own.items())), FrameConverter(
        encoding.format, encoding.depth, encoding.colour, samples.kind
    )


def _choose_preset(options: VideoOptions) -> str | None:
    return None if options.codec == "ffv1" else PRESET


def place_frame(frame: Any, seconds: float, rate: Fraction, last: int | None) -> int:
    """Give a frame its time.

    Args:
        frame: the frame, which is changed.
        seconds: time of its capture after the first one's.
        rate: frames a second, for how long it is shown.
        last: ticks of the frame before; None for the first.

    Returns:
        Its ticks, at least `_APART` more than those of the frame before.
    """
    ticks = round(seconds / TICK)
    ticks = ticks if last is None else max(ticks, last + _APART)
    frame.pts, frame.time_base, frame.duration = ticks, TICK, max(1, round(1 / (rate * TICK)))
    return ticks

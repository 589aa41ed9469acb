"""Chart of quality against time by threshold of the mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .letters import draw_words

if TYPE_CHECKING:
    from PIL import ImageDraw

FILE = "thresholds.png"
"""Name of the chart beside the report."""
SIZE = (860, 520)
"""Width and height in pixels."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 40, 60, 60
_TICKS = 5
_TIMES = {"ms": "ms for a picture", "processor_ms": "ms of the processor for a picture"}
_LINE, _OWN, _GRID, _INK = (66, 133, 220), (242, 142, 43), (224, 224, 228), (30, 30, 34)

Point = tuple[float, float]


def draw_thresholds(rows: Sequence[Mapping[str, Any]], key: str) -> np.ndarray:
    """Draw quality against time, with a point for each threshold.

    Beside each point stand its threshold and the share of distorted pixels; the model's own is orange.

    Args:
        rows: rows of `session.thresholds.measure_thresholds`, in ascending order of their thresholds.
        key: key of the PSNR.

    Returns:
        uint8 [H, W, 3].
    """
    from PIL import Image, ImageDraw

    sheet = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(sheet)
    time = "ms" if any(row["processor_ms"] is None for row in rows) else "processor_ms"
    across, up = _Axis([row[time] for row in rows]), _Axis([row[key] for row in rows])
    _draw_axes(draw, across, up)
    draw_words(draw, (SIZE[0] - _RIGHT, SIZE[1] - 26), _TIMES[time], _INK, "ra")
    places = [_place(across.share(row[time]), up.share(row[key])) for row in rows]
    draw.line(places, fill=_LINE, width=2)
    for row, (x, y) in sorted(zip(rows, places, strict=True), key=lambda one: bool(one[0]["own"])):  # it lies on top
        colour = _OWN if row["own"] else _LINE
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=colour)
        near_end = x > SIZE[0] - _RIGHT - 150
        words = f"{row['threshold']:g} ({100 * row['density']:.1f} %)"
        draw_words(draw, (x + (-10 if near_end else 10), y + 6), words, _INK, "ra" if near_end else "la")
    return np.array(sheet)


class _Axis:
    """Range of values with a margin, and its ticks."""

    def __init__(self, values: Sequence[float]) -> None:
        low, high = min(values), max(values)
        margin = 0.08 * (high - low) or max(abs(high), 1.0) * 0.01  # one value, or several that are equal
        self._low, self._high = low - margin, high + margin
        step = 10.0 ** np.floor(np.log10((self._high - self._low) / _TICKS))
        step *= next(factor for factor in (1, 2, 5, 10) if (self._high - self._low) / (step * factor) <= _TICKS)
        first, last = np.ceil(self._low / step), np.floor(self._high / step)
        self.ticks = [float(number) * float(step) for number in np.arange(first, last + 1)]
        self.digits = max(0, -int(np.floor(np.log10(step))))

    def share(self, value: float) -> float:
        """Place a value between the ends, 0 and 1."""
        return (value - self._low) / (self._high - self._low)


def _place(across: float, up: float) -> Point:
    width, height = SIZE
    return _LEFT + across * (width - _LEFT - _RIGHT), height - _BOTTOM - up * (height - _TOP - _BOTTOM)


def _draw_axes(draw: ImageDraw.ImageDraw, time: _Axis, quality: _Axis) -> None:
    """Draw the grid with its numbers and what they are."""
    for value in time.ticks:
        x, bottom = _place(time.share(value), 0.0)
        draw.line((x, _TOP, x, bottom), fill=_GRID)
        draw_words(draw, (x, bottom + 8), f"{value:.{time.digits}f}", _INK, "ma")
    for value in quality.ticks:
        left, y = _place(0.0, quality.share(value))
        draw.line((left, y, SIZE[0] - _RIGHT, y), fill=_GRID)
        draw_words(draw, (left - 10, y - 8), f"{value:.{quality.digits}f}", _INK, "ra")
    draw_words(draw, (_LEFT, 18), "PSNR in dB; threshold of the mask (share of distorted pixels)", _INK, "la")

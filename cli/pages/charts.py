"""Line plots and bar plots as inline SVG.

Their classes have their colours in style.css.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 420, 270
LEFT, RIGHT, TOP, BOTTOM = 48, 14, 34, 40
"""Margins around the axes in SVG units, for numbers at the left, the legend above and names below."""

Point = tuple[float, float]

_DOTS = {"dense": "square", "adaptive": "circle", "packed": "diamond", "engine": "circle", "cpu": "square"}


_OTHERS = {"line0": "circle", "line1": "square", "line2": "diamond", "line3": "circle"}
"""Looks of series with other names, by their place."""


@dataclass(frozen=True)
class LineChart:
    """Times, or other values, against the density of the mask."""

    title: str
    """Words for readers who do not see the plot."""
    series: Mapping[str, Sequence[Point]]
    """Name -> (density 0..1, value), by ascending density. "dense", "adaptive", "packed", "engine" and "cpu" have looks
    of their own, others one by their place."""
    mark: float | None = None
    """Density at which a cross-over is marked."""
    unit: str = "ms"
    """Unit of the values; long times in milliseconds are shown in seconds."""

    def render(self) -> str:
        """Render the SVG element."""
        points = [point for line in self.series.values() for point in line]
        axes = _Axes(max((x for x, _ in points), default=1.0) or 1.0, max((y for _, y in points), default=1.0) or 1.0,
                     self.unit)  # fmt: skip
        parts = [axes.render()]
        if self.mark is not None:
            parts.append(self._render_mark(axes, self.mark))
        looks = [name if name in _DOTS else f"line{index % len(_OTHERS)}" for index, name in enumerate(self.series)]
        for index, (look, (name, line)) in enumerate(zip(looks, self.series.items(), strict=True)):
            parts += [_render_line(name, look, line, axes), _render_legend(name, look, *self._place_legend(index))]
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self.title, quote=True)}">'
            f"{''.join(parts)}</svg>"
        )

    def _place_legend(self, index: int) -> tuple[float, float]:
        """Place a name, in one row or in two columns."""
        if len(self.series) <= 3 and all(len(name) <= 9 for name in self.series):
            return LEFT + 14 + 100 * index, TOP - 16
        return LEFT + 14 + 180 * (index % 2), TOP - 29 + 13 * (index // 2)

    def _render_mark(self, axes: _Axes, density: float) -> str:
        x = axes.x(density)
        left = x < WIDTH * 0.7
        place = f'x="{x + (5 if left else -5):.1f}" text-anchor="{"start" if left else "end"}"'
        return (
            f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
            f'<text class="name" {place} y="{HEIGHT - BOTTOM - 8}">cross-over {100 * density:.0f} %</text>'
        )


@dataclass(frozen=True)
class BarChart:
    """Milliseconds by name, one bar each."""

    title: str
    bars: Sequence[tuple[str, float]]

    def render(self) -> str:
        """Render the SVG element."""
        step, name_width = 26, 70
        largest = max((value for _, value in self.bars), default=0.0) or 1.0
        room = WIDTH - name_width - 90
        parts = []
        for index, (name, value) in enumerate(self.bars):
            top, length = index * step, max(room * value / largest, 1.0)
            parts.append(
                f'<text class="name" x="0" y="{top + 17}">{escape(name)}</text>'
                f'<rect class="bar" x="{name_width}" y="{top + 4}" width="{length:.1f}" height="18" rx="2"/>'
                f'<text x="{name_width + length + 6:.1f}" y="{top + 17}">{format_ms(value)}</text>'
            )
        return (
            f'<svg viewBox="0 0 {WIDTH} {step * len(self.bars)}" role="img" '
            f'aria-label="{escape(self.title, quote=True)}">{"".join(parts)}</svg>'
        )


def format_ms(milliseconds: float) -> str:
    """Format a time with about three digits.

    Examples are "0.21 ms", "14.3 ms" and "9,012 ms".
    """
    digits = 2 if milliseconds < 10 else 1 if milliseconds < 100 else 0
    return f"{milliseconds:,.{digits}f} ms"


def list_ticks(largest: float, count: int = 5) -> list[float]:
    """List round numbers from 0 to `largest` or just above.

    There are about `count` steps of 1, 2 or 5 x 10**n.

    >>> list_ticks(9012.0)
    [0.0, 2000.0, 4000.0, 6000.0, 8000.0, 10000.0]
    """
    rough = largest / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    digits = 12 - math.floor(math.log10(step))  # of the step's own size: it may be far below 1
    return [round(step * index, digits) for index in range(math.ceil(largest / step - 1e-9) + 1)]


class _Axes:
    """Axes for densities and values.

    Long times, which are given in milliseconds, are shown in seconds.
    """

    def __init__(self, density: float, largest: float, unit: str) -> None:
        self._densities = list_ticks(100 * density)
        self.unit = unit
        self._shown, self._scale = ("s", 1000.0) if unit == "ms" and largest >= 2000 else (unit, 1.0)
        self._values = list_ticks(largest / self._scale)

    def x(self, density: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * 100 * density / self._densities[-1]

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self._scale / self._values[-1]

    def render(self) -> str:
        parts = []
        for value in self._values:
            y = self.y(value * self._scale)
            parts.append(
                f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:,g}</text>'
            )
        for percent in self._densities:
            place = f'x="{self.x(percent / 100):.1f}" y="{HEIGHT - BOTTOM + 16}"'
            parts.append(f'<text {place} text-anchor="middle">{percent:g}</text>')
        parts.append(f'<text x="{LEFT - 6}" y="{TOP - 12}" text-anchor="end">{escape(self._shown)}</text>')
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">distorted pixels, %</text>')
        return "".join(parts)


def _render_line(name: str, look: str, line: Sequence[Point], axes: _Axes) -> str:
    places = [(axes.x(x), axes.y(y)) for x, y in line]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(
        _render_dot(
            look, place, f"{name}, {100 * x:g} %: {format_ms(y) if axes.unit == 'ms' else f'{y:.3g} {axes.unit}'}"
        )
        for place, (x, y) in zip(places, line, strict=True)
    )
    return f'<polyline class="{look} line" points="{path}"/>{dots}'


def _render_legend(name: str, look: str, left: float, middle: float) -> str:
    return (
        f'<line class="{look} line" x1="{left:g}" x2="{left + 22:g}" y1="{middle}" y2="{middle}"/>'
        f"{_render_dot(look, (left + 11, middle), '')}"
        f'<text class="name" x="{left + 28:g}" y="{middle + 4}">{escape(name)}</text>'
    )


def _render_dot(name: str, place: Point, tip: str) -> str:
    """Render a marker, whose form tells the series without colours."""
    x, y = place
    words = f"<title>{escape(tip)}</title>" if tip else ""
    form = _DOTS.get(name, _OTHERS.get(name))
    if form == "circle":
        return f'<circle class="{name} dot" cx="{x:.1f}" cy="{y:.1f}" r="4">{words}</circle>'
    turn = f' transform="rotate(45 {x:.1f} {y:.1f})"' if form == "diamond" else ""
    return f'<rect class="{name} dot" x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7"{turn}>{words}</rect>'

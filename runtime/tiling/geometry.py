"""Geometry of tiles: cores that partition a picture, windows that add a halo, weights that blend overlaps.

Everything here is integer arithmetic on picture coordinates (row, column; half-open ranges); no pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Box:
    """A half-open rectangle [top, bottom) x [left, right) in pixels; never empty."""

    top: int
    left: int
    bottom: int
    right: int

    def __post_init__(self) -> None:
        if not (0 <= self.top < self.bottom and 0 <= self.left < self.right):
            raise ValueError(f"a box needs 0 <= top < bottom and 0 <= left < right, got {self}")

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    def view(self, array: np.ndarray) -> np.ndarray:
        """The box's pixels of an array [..., H, W], as a view."""
        return array[..., self.top : self.bottom, self.left : self.right]

    def grown(self, margin: int, within: Box) -> Box:
        """This box with `margin` pixels more on each side, clipped to `within`."""
        return Box(
            max(self.top - margin, within.top),
            max(self.left - margin, within.left),
            min(self.bottom + margin, within.bottom),
            min(self.right + margin, within.right),
        )

    def relative_to(self, outer: Box) -> Box:
        """The same pixels in the coordinates of `outer`, which must contain them."""
        if not outer.contains(self):
            raise ValueError(f"{self} does not lie inside {outer}")
        dy, dx = outer.top, outer.left
        return Box(self.top - dy, self.left - dx, self.bottom - dy, self.right - dx)

    def reduced(self, factor: int) -> Box:
        """The same area on a map that is `factor` times smaller; every edge must be a multiple of it."""
        edges = (self.top, self.left, self.bottom, self.right)
        if any(edge % factor for edge in edges):
            raise ValueError(f"the edges of {self} are not multiples of {factor}")
        return Box(*(edge // factor for edge in edges))

    def contains(self, other: Box) -> bool:
        """Whether every pixel of `other` is in this box."""
        rows = self.top <= other.top and other.bottom <= self.bottom
        return rows and self.left <= other.left and other.right <= self.right


@dataclass(frozen=True)
class Tile:
    """A core, whose pixels the tile is responsible for, inside the window the network has to see."""

    core: Box
    window: Box

    @property
    def core_in_window(self) -> Box:
        """The core in the window's coordinates."""
        return self.core.relative_to(self.window)


def round_up(value: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is >= value."""
    return -(-value // multiple) * multiple


def round_down(value: int, multiple: int) -> int:
    """The largest multiple of `multiple` that is <= value, but at least `multiple`."""
    return max(value // multiple, 1) * multiple


def tile_grid(area: Box, *, core: int, halo: int, multiple: int, bounds: Box | None = None) -> tuple[Tile, ...]:
    """Cut an area into cores of core x core pixels, row by row, and give each its window.

    Args:
        area: what the cores partition exactly; its edges are multiples of `multiple`.
        core: side of a core in pixels, a multiple of `multiple`; the last row and column may be smaller.
        halo: pixels the network has to see around a core, rounded up to `multiple`.
        multiple: alignment of every edge, so that strided layers sample the same pixels as untiled.
        bounds: what windows are clipped to (the picture); `area` when left out. Windows stop at the picture's
            border because networks zero-pad there: a halo beyond it would show them other values.

    Raises:
        ValueError: a misaligned area, bounds or core, or a negative halo.
    """
    limit = bounds or area
    if core < 1 or core % multiple or halo < 0:
        raise ValueError(f"core must be a positive multiple of {multiple} and halo >= 0, got {core} and {halo}")
    area.reduced(multiple), limit.reduced(multiple)
    margin = round_up(halo, multiple)
    cores = (
        Box(top, left, min(top + core, area.bottom), min(left + core, area.right))
        for top in range(area.top, area.bottom, core)
        for left in range(area.left, area.right, core)
    )
    return tuple(Tile(box, box.grown(margin, limit)) for box in cores)


def axis_weights(cores: Sequence[tuple[int, int]], length: int, feather: int) -> list[np.ndarray]:
    """Blending weights along one axis, one array of `length` float32 per core; at each pixel they sum to 1.

    A core weighs 1 inside and falls linearly to 0 over `feather` pixels outside; where neighbours overlap the
    weights are divided by their sum. feather 0 gives the cores themselves.
    """
    position = np.arange(length)
    raw = []
    for start, stop in cores:
        distance = np.maximum(np.maximum(start - position, position - (stop - 1)), 0)
        raw.append(np.clip(1.0 - distance / (feather + 1), 0.0, 1.0))
    total = np.sum(raw, axis=0)
    return [(weights / total).astype(np.float32) for weights in raw]


def feather_weights(tiles: Iterable[Tile], area: Box, feather: int) -> list[np.ndarray]:
    """Blending weights of the windows of a grid: [window height, window width] float32 each, summing to 1.

    The product of the two axes' weights, which sums to 1 because each factor does. Windows must reach
    `feather` pixels beyond their core, or the border of `area` (a box at the origin).
    """
    grid = list(tiles)
    rows = sorted({(tile.core.top, tile.core.bottom) for tile in grid})
    columns = sorted({(tile.core.left, tile.core.right) for tile in grid})
    down = dict(zip(rows, axis_weights(rows, area.bottom, feather), strict=True))
    across = dict(zip(columns, axis_weights(columns, area.right, feather), strict=True))
    weights = []
    for tile in grid:
        product = np.outer(
            down[tile.core.top, tile.core.bottom][tile.window.top : tile.window.bottom],
            across[tile.core.left, tile.core.right][tile.window.left : tile.window.right],
        )
        weights.append(product)
    return weights

"""Geometry of tiles and of their blending.

Cores partition a picture, windows add a halo to them, and weights blend windows that overlap. Coordinates are rows and
columns of the picture; ranges are half-open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Box:
    """Rectangle of pixels, never empty.

    It holds the rows from `top` to before `bottom` and the columns from `left` to before `right`.
    """

    top: int
    left: int
    bottom: int
    right: int

    def __post_init__(self) -> None:
        if not (0 <= self.top < self.bottom and 0 <= self.left < self.right):
            raise ValueError(f"a box needs 0 <= top < bottom and 0 <= left < right, got {self}")

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.right - self.left

    def view(self, array: np.ndarray) -> np.ndarray:
        """Return a view of the box's pixels.

        Args:
            array: [..., H, W].
        """
        return array[..., self.top : self.bottom, self.left : self.right]

    def grown(self, margin: int, within: Box) -> Box:
        """Return this box with `margin` more pixels on each side.

        The result is clipped to `within`.
        """
        return Box(
            max(self.top - margin, within.top),
            max(self.left - margin, within.left),
            min(self.bottom + margin, within.bottom),
            min(self.right + margin, within.right),
        )

    def relative_to(self, outer: Box) -> Box:
        """Return this box in the coordinates of another box.

        Raises:
            ValueError: `outer` does not contain this box.
        """
        if not outer.contains(self):
            raise ValueError(f"{self} does not lie inside {outer}")
        dy, dx = outer.top, outer.left
        return Box(self.top - dy, self.left - dx, self.bottom - dy, self.right - dx)

    def reduced(self, factor: int) -> Box:
        """Return this box on a smaller map.

        Args:
            factor: number of pixels that become one, along each axis.

        Raises:
            ValueError: an edge is not a multiple of `factor`.
        """
        edges = (self.top, self.left, self.bottom, self.right)
        if any(edge % factor for edge in edges):
            raise ValueError(f"the edges of {self} are not multiples of {factor}")
        return Box(*(edge // factor for edge in edges))

    def contains(self, other: Box) -> bool:
        """Tell whether every pixel of `other` is in this box."""
        rows = self.top <= other.top and other.bottom <= self.bottom
        return rows and self.left <= other.left and other.right <= self.right


@dataclass(frozen=True)
class Tile:
    """Core of pixels to compute, inside the window to see."""

    core: Box
    """Pixels that the tile is responsible for."""
    window: Box
    """Pixels that the network has to see for them: the core and a halo."""

    @property
    def core_in_window(self) -> Box:
        """Core in the window's coordinates."""
        return self.core.relative_to(self.window)


def round_up(value: int, multiple: int) -> int:
    """Return the smallest multiple of `multiple` that is >= value."""
    return -(-value // multiple) * multiple


def round_down(value: int, multiple: int) -> int:
    """Round a positive value down to a positive multiple.

    Returns:
        The largest multiple of `multiple` that is <= value, and at least `multiple`.
    """
    return max(value // multiple, 1) * multiple


def tile_grid(area: Box, *, core: int, halo: int, multiple: int, bounds: Box | None = None) -> tuple[Tile, ...]:
    """Cut an area into square tiles, row by row.

    Args:
        area: box that the cores partition; its edges are multiples of `multiple`.
        core: side of a core in pixels, a multiple of `multiple`; cores of the last row and column may be smaller.
        halo: number of pixels that the network has to see around a core, rounded up to `multiple`.
        multiple: alignment of every edge in pixels, so that strided layers sample the same pixels as untiled.
        bounds: box that windows are clipped to, the picture; None takes `area`. Windows stop at the picture's border
            because networks pad with zeros there: a halo beyond the border would show them other values.

    Raises:
        ValueError: `area`, `bounds` or `core` is not aligned, or `halo` is negative.
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
    """Compute the blending weights of cores along one axis.

    A core weighs 1 inside, and its weight falls linearly to 0 over `feather` pixels outside. The weights of each pixel
    are divided by their sum, so that they sum to 1. Without a feather, a core weighs 1 inside and 0 outside.

    Args:
        cores: first and last-plus-one position of each core.
        length: number of pixels of the axis.
        feather: number of pixels over which a weight falls.

    Returns:
        For each core an array of `length` float32.
    """
    position = np.arange(length)
    raw = []
    for start, stop in cores:
        distance = np.maximum(np.maximum(start - position, position - (stop - 1)), 0)
        raw.append(np.clip(1.0 - distance / (feather + 1), 0.0, 1.0))
    total = np.sum(raw, axis=0)
    return [(weights / total).astype(np.float32) for weights in raw]


def feather_weights(tiles: Iterable[Tile], area: Box, feather: int) -> list[np.ndarray]:
    """Compute the blending weights of the windows of a grid.

    They are products of the weights of both axes. At each pixel they sum to 1, because the weights of each axis do.

    Args:
        tiles: tiles whose windows reach `feather` pixels beyond their core, or to the border of `area`.
        area: the picture, a box at the origin.
        feather: number of pixels over which a weight falls.

    Returns:
        [window height, window width] float32 for each tile.
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

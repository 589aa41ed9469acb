"""Pieces of a picture for foreign networks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .geometry import Box, Tile, feather_weights, round_down, round_up
from .spec import ForeignNetwork

FEATHER = 16
"""Width in pixels of the strip over which neighbouring tiles are blended, in addition to the network's halo."""


@dataclass(frozen=True)
class Pieces:
    """Tiles that cover a picture, with their weights."""

    tiles: tuple[Tile, ...]
    padded: tuple[int, int]
    """Height and width in pixels that the picture is padded to before it is cut."""
    feather: int
    """Pixels over which neighbours are blended."""

    def weights(self, scale: int) -> list[np.ndarray]:
        """Compute the blending weights of the restored windows.

        Args:
            scale: factor from the picture's height and width to those of the restored one.

        Returns:
            [window height, window width] float32 for each tile.
        """
        area = enlarge_box(Box(0, 0, *self.padded), scale)
        tiles = [Tile(enlarge_box(tile.core, scale), enlarge_box(tile.window, scale)) for tile in self.tiles]
        return feather_weights(tiles, area, self.feather * scale)


def enlarge_box(box: Box, scale: int) -> Box:
    """Return a box in an enlarged picture."""
    return Box(*(scale * edge for edge in (box.top, box.left, box.bottom, box.right)))


def cut_pieces(spec: ForeignNetwork, height: int, width: int, side: int) -> Pieces:
    """Cut a picture into pieces that a network takes.

    Every pixel that gets a weight lies at least `spec.halo` pixels inside its window. So the result equals the untiled
    one if nothing farther away changes a pixel; where that is not known, blending hides the seams.

    Args:
        spec: the network.
        height: height of the picture in pixels, a multiple of `spec.multiple`.
        width: width of the picture in pixels, also a multiple.
        side: largest side of a core in pixels.
    """
    if spec.sizes:
        return _cut_fixed(spec, height, width)
    unit = math.lcm(spec.multiple, spec.align or 1)
    core, margin = round_down(side, unit), round_up(spec.halo + FEATHER, unit)
    area = Box(0, 0, height, width)
    cores = [
        Box(top, left, min(top + core, height), min(left + core, width))
        for top in range(0, height, core)
        for left in range(0, width, core)
    ]
    return Pieces(tuple(Tile(box, box.grown(margin, area)) for box in cores), (height, width), FEATHER)


def _cut_fixed(spec: ForeignNetwork, height: int, width: int) -> Pieces:
    """Cut a picture into windows of a listed size."""
    fitting = [size for size in spec.sizes if size[0] >= height and size[1] >= width]
    if fitting:
        size = min(fitting, key=math.prod)
        area = Box(0, 0, *size)
        return Pieces((Tile(area, area),), size, 0)
    size = max(spec.sizes, key=math.prod)
    unit = math.lcm(spec.multiple, spec.align or 1)
    rows, columns = (one + round_up(max(side - one, 0), unit) for side, one in zip((height, width), size, strict=True))
    feather = min(FEATHER, min(size) // 16)
    down = _cut_axis(rows, size[0], spec.halo + feather, unit)
    across = _cut_axis(columns, size[1], spec.halo + feather, unit)
    tiles = [
        Tile(Box(top[0], left[0], top[1], left[1]), Box(top[2], left[2], top[2] + size[0], left[2] + size[1]))
        for top in down
        for left in across
    ]
    return Pieces(tuple(tiles), (rows, columns), feather)


def _cut_axis(length: int, window: int, margin: int, unit: int) -> list[tuple[int, int, int]]:
    """Cut an axis for windows of one length.

    Args:
        length: pixels of the axis, a multiple of `unit` more than the window.
        window: pixels of a window.
        margin: pixels that a window has around its core, except at the ends of the axis.
        unit: number of pixels that divides the start of every window.

    Returns:
        Start and end of each core, and the start of its window.
    """
    margin = min(margin, 5 * window // 16)  # so that at least an eighth of a window is core
    cuts: list[tuple[int, int, int]] = []
    start = 0
    while start < length:
        place = min(max(start - margin, 0) // unit * unit, length - window)
        end = length if place == length - window else max(place + window - margin, start + 1)
        cuts.append((start, end, place))
        start = end
    return cuts

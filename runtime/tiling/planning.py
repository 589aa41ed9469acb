"""Division of a picture into the pieces that cost least.

A piece without distortion is returned as it is; any other is computed packed or dense. A picture is halved again and
again as long as that is cheaper: large pieces waste less on halos, small ones separate clean from distorted areas and
sparse from dense ones. The costs come from `Tuning`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, get_args

import numpy as np

from ..errors import UserError
from .context import mask_pyramid
from .costs import Tuning
from .geometry import Box, Tile, round_up
from .spec import SpairNetwork

TilePath = Literal["packed", "dense"]
"""Path by which Net_R computes a piece: "packed" on a list of its distorted pixels, "dense" on every pixel."""

PathChoice = Literal["auto", "dense", "packed"]
"""Path that a user asks for: "auto" takes for each piece the one that costs less."""

SMALLEST_PIECE = 128
"""Side in pixels up to which a piece is not halved: a halo of 48 on both sides already triples it."""

_KEPT_AREAS = 16
"""Areas whose parts are kept for pictures of the same size; those of four million pixels take a megabyte."""


def check_path(path: str) -> None:
    """Refuse a path that is not known.

    Raises:
        UserError: the path is none of `PathChoice`.
    """
    if path not in get_args(PathChoice):
        raise UserError(f"the tile path is {path!r}, expected one of {', '.join(get_args(PathChoice))}")


@dataclass(frozen=True)
class Limits:
    """Largest parts of a picture that are computed at once.

    They bound the memory.
    """

    side: int = SpairNetwork.default_tile
    """Side in pixels of the core of a piece."""
    block_pixels: int = 4_000_000
    """Pixels up to which Net_L sees a picture in one piece; a larger one is cut into blocks of that size."""
    dense_pixels: int = 2_200_000
    """Pixels of a window that is computed dense; a picture of 1920x1080 fits, so that it needs no halos."""
    packed_pixels: int = 450_000
    """Work in a window that is computed packed, in pixels that are distorted at every scale."""

    def __post_init__(self) -> None:
        if min(self.side, self.block_pixels, self.dense_pixels, self.packed_pixels) < 1:
            raise ValueError(f"limits must be >= 1, got {self}")


@dataclass(frozen=True)
class Piece:
    """Part of a picture with the path that computes it."""

    tile: Tile
    path: TilePath


class WorkMap:
    """Work of Net_R in any box of a picture."""

    def __init__(self, mask: np.ndarray, spec: SpairNetwork) -> None:
        """Sum up a mask over all scales.

        Args:
            mask: [H, W] bool; H and W are multiples of `spec.multiple`.
            spec: sizes, and shares of the scales in the work.
        """
        cell = spec.multiple
        counts = [
            _cell_sums(reduced, cell >> scale) for scale, reduced in enumerate(mask_pyramid(mask, max(spec.scales)))
        ]
        work = np.zeros(tuple(side // cell for side in mask.shape))
        for scale, (share, count) in enumerate(zip(spec.work, counts, strict=True)):
            work += share * 4**scale * count
        # Views, because reading a single number of an array takes several times as long.
        self._work = _integral(work).data
        self._pixels = _integral(counts[0]).data

    def work(self, cells: Box) -> float:
        """Return the work in a box.

        Args:
            cells: the box in cells, its edges divided by `spec.multiple`.

        Returns:
            Number of pixels, between 0 and the box's area, that would be as much work if distorted at every scale.
        """
        return _sum(self._work, cells)

    def is_empty(self, cells: Box) -> bool:
        """Tell whether a box of cells has no distorted pixel."""
        return _sum(self._pixels, cells) == 0


def _sum(integral: memoryview, cells: Box) -> float:
    top, left, bottom, right = cells.top, cells.left, cells.bottom, cells.right
    total: float = integral[bottom, right] - integral[bottom, left] - integral[top, right] + integral[top, left]
    return total


@dataclass(frozen=True)
class _Part:
    """Area that may become one piece.

    Its boxes follow from sizes alone, so that they are computed once for all pictures of a size.
    """

    core: Box
    bounds: Box
    """Box that windows are clipped to."""
    halo: int
    multiple: int

    @cached_property
    def window(self) -> Box:
        """Core with its halo."""
        return self.core.grown(round_up(self.halo, self.multiple), self.bounds)

    @cached_property
    def side(self) -> int:
        """Longer side of the core in pixels."""
        return max(self.core.height, self.core.width)

    @cached_property
    def pixels(self) -> int:
        """Pixels of the window."""
        return self.window.height * self.window.width

    @cached_property
    def cells(self) -> Box:
        """Core in cells of `multiple` pixels."""
        return self.core.reduced(self.multiple)

    @cached_property
    def window_cells(self) -> Box:
        """Window in cells."""
        return self.window.reduced(self.multiple)

    @cached_property
    def halves(self) -> tuple[_Part, ...]:
        """Both halves, or nothing for a single cell."""
        boxes = _halves(self.core, self.multiple)
        return tuple(_Part(box, self.bounds, self.halo, self.multiple) for box in boxes)


_find_part = lru_cache(maxsize=_KEPT_AREAS)(_Part)


@dataclass(frozen=True)
class Planner:
    """Search for the cheapest pieces of a picture."""

    spec: SpairNetwork
    tuning: Tuning
    paths: Sequence[TilePath]
    """Paths that the network has, or that the user wants, at least one."""
    limits: Limits

    def plan(self, work: WorkMap, area: Box, bounds: Box) -> tuple[list[Piece], int]:
        """Cut an area into pieces.

        Args:
            work: work of the whole picture.
            area: box to cut.
            bounds: box that windows are clipped to, the picture.

        Returns:
            The pieces to compute, and the number of parts that were left out because they have no distorted pixel.
        """
        _, pieces, skipped = self._cheapest(work, _find_part(area, bounds, self.spec.halo_r, self.spec.multiple))
        return pieces, skipped

    def _cheapest(self, work: WorkMap, part: _Part) -> tuple[float, list[Piece], int]:
        if self.spec.gate_output and work.is_empty(part.cells):
            return 0.0, [], 1
        whole = self._whole(work, part)
        if whole is not None and (part.side <= SMALLEST_PIECE or not part.halves):
            return whole
        if not part.halves:  # over the limits, but too small to halve: computed all the same
            return 0.0, [Piece(Tile(part.core, part.window), self.paths[-1])], 0
        halves = [self._cheapest(work, half) for half in part.halves]
        cost = sum(half[0] for half in halves)
        if whole is not None and whole[0] <= cost:
            return whole
        return cost, [piece for half in halves for piece in half[1]], sum(half[2] for half in halves)

    def _whole(self, work: WorkMap, part: _Part) -> tuple[float, list[Piece], int] | None:
        """Find the cheaper path for a part in one piece.

        Returns:
            Cost, piece and number of skipped parts (0); None if every path is over a limit.
        """
        if part.side > self.limits.side:
            return None
        pixels, amount = part.pixels, work.work(part.window_cells)
        costs: dict[TilePath, float] = {}
        if pixels <= self.limits.dense_pixels:
            costs["dense"] = self.tuning.dense_cost(pixels)
        # Without a gate, the last layer reads a map of all features of the window, whatever the mask.
        if amount <= self.limits.packed_pixels and (self.spec.gate_output or "dense" in costs):
            costs["packed"] = self.tuning.packed_cost(pixels, amount)
        allowed = [path for path in costs if path in self.paths]
        if not allowed:
            return None
        path = min(allowed, key=lambda path: costs[path])
        return costs[path], [Piece(Tile(part.core, part.window), path)], 0


def _halves(core: Box, multiple: int) -> tuple[Box, ...]:
    """Halve a box across its longer side.

    Returns:
        Both halves; nothing for a single cell.
    """
    if max(core.height, core.width) < 2 * multiple:
        return ()
    if core.height >= core.width:
        middle = core.top + round_up(core.height // 2, multiple)
        return Box(core.top, core.left, middle, core.right), Box(middle, core.left, core.bottom, core.right)
    middle = core.left + round_up(core.width // 2, multiple)
    return Box(core.top, core.left, core.bottom, middle), Box(core.top, middle, core.bottom, core.right)


def _cell_sums(mask: np.ndarray, cell: int) -> np.ndarray:
    """Count the distorted pixels in each cell.

    Args:
        mask: [H, W] bool.
        cell: side of a cell in pixels.

    Returns:
        [H / cell, W / cell] int32.
    """
    height, width = mask.shape
    bits = mask.view(np.uint8).reshape(height // cell, cell, width)
    # Lines are added up first, in the smallest numbers that hold their count: the rest is then little work.
    lines = np.add.reduce(bits, axis=1, dtype=np.min_scalar_type(cell))
    return np.add.reduceat(lines, np.arange(0, width, cell), axis=1, dtype=np.int32)


def _integral(values: np.ndarray) -> np.ndarray:
    """Sum all values above and left of each corner.

    Args:
        values: [H, W].

    Returns:
        [H + 1, W + 1] float64.
    """
    total = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    total[1:, 1:] = values.cumsum(axis=0).cumsum(axis=1)
    return total

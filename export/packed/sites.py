"""Active pixels of a mask inside a packed graph.

The graph looks up their rows and neighbours, gathers them from full-size tensors, and writes them back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto

from .emit import Emitter

MARGIN = 2
"""Width in pixels of the clean border of the padded map. Neighbours outside the picture are absent there; it is half of
the largest kernel, 5."""

BLOCK = 1024
"""Number of rows whose neighbours are gathered at a time: 2 to 3 MB with 64 channels, which stays in the cache."""

FEW = 5
"""Ratio of a map's pixels to the wanted pixels. Above it the map is read value by value, below it is transposed first.
Reading 64 channels of 256x256 on two threads takes 1.4 against 7.7 ms at 2 % of the pixels, 3.9 against 7.9 at 10 %,
and 10.7 against 4 to 8 at 35 %."""

SIDES = ((False, False), (True, False), (False, True), (True, True))
"""Groups of pixels: whether they have an active neighbour in the column to the left, and in the column to the right."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Active pixels that miss the same columns of neighbours.

    They are cut into equal blocks, of which the last may be padded.
    """

    left: bool
    right: bool
    blocks: str
    """Number of blocks and of rows in each, [2] int64."""
    size: str
    """Number of rows of all blocks, padding included, [1] int64."""
    numbers: str
    """Row numbers of the real pixels, [n] int64; padding follows them."""
    real: str
    """Positions of the real pixels in the padded map, [n] int64."""
    place: str
    """Positions of all rows, [size] int64; padding has the position of the first picture's top left pixel."""

    def columns(self, kernel: int) -> range:
        """Return the kernel's columns that can meet active pixels."""
        radius = kernel // 2
        if kernel != 3:  # wider kernels see further than the next column
            return range(-radius, radius + 1)
        return range(-1 if self.left else 0, 2 if self.right else 1)


class Sites:
    """Emitter of the tensors that layers under one mask share.

    Each tensor is emitted at its first use, and once.

    Features live in a tensor of rows. Row 0 stands for every absent neighbour, and is all zeros where neighbours are
    read (see `Packed.cleared`). The pixels follow group by group, in raster order of the batch inside each group. Rows
    that pad a group hold meaningless values, and no pixel has them as neighbours. A pixel of the padded map
    [N, H+2m, W+2m], where m is MARGIN, holds its row's number, or 0 where it is clean.
    """

    def __init__(self, emit: Emitter, mask: str) -> None:
        """Take the name of a mask `[N,1,H,W]`."""
        self.emit, self.mask = emit, mask
        self._memo: dict[Any, Any] = {}

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """Return the result of `make`, called once for each key."""
        if key not in self._memo:
            with self.emit.outermost():
                self._memo[key] = make()
        return self._memo[key]

    def side(self, axis: int) -> str:
        """Emit N, H or W (axis 0, 2, 3), `[1] int64`."""
        return self.once(("side", axis), lambda: self.emit.op("Shape", self.mask, start=axis, end=axis + 1))

    def padded_side(self, axis: int) -> str:
        """Emit a side of the padded map, `[1] int64`."""
        margins = self.emit.const([2 * MARGIN])
        return self.once(("padded", axis), lambda: self.emit.op("Add", self.side(axis), margins))

    def map(self) -> str:
        """Emit the padded mask, `[N*(H+2m)*(W+2m)] float32`."""
        return self.once("map", lambda: self.padded(self.mask))

    def padded(self, mask: str) -> str:
        """Pad a mask `[N,1,H,W]` to `[N*(H+2m)*(W+2m)]`."""
        padded = self.emit.op("Pad", mask, self.emit.const([0, 0, MARGIN, MARGIN] * 2))
        return self.emit.op("Reshape", padded, self.emit.const([-1]))

    def _steps(self, columns: range, kernel: int) -> str:
        """Emit the steps to the neighbours, `[1, k*columns] int64`.

        Steps are in the padded map, column by column, and downwards in each column.
        """
        emit, radius = self.emit, kernel // 2

        def make() -> str:
            right, down = np.meshgrid(list(columns), range(-radius, radius + 1), indexing="ij")
            lines = emit.op("Mul", emit.const(down.reshape(1, -1)), self.padded_side(3))
            return emit.op("Add", lines, emit.const(right.reshape(1, -1)))

        return self.once(("steps", columns, kernel), make)

    def _around(self, place: str, columns: range, kernel: int) -> str:
        """Emit the neighbours' positions of places `[n]`, `[n, k*columns] int64`."""
        rows = self.emit.op("Unsqueeze", place, self.emit.const([1]))
        return self.emit.op("Add", rows, self._steps(columns, kernel))

    def groups(self) -> tuple[Group, ...]:
        """Emit the active pixels, grouped by missing neighbour columns."""
        return self.once("groups", self._make_groups)

    def _make_groups(self) -> tuple[Group, ...]:
        emit = self.emit
        found = emit.op("Squeeze", emit.op("NonZero", self.map()), emit.const([0]))
        beside = []
        for column in (-1, 1):
            values = emit.op("Gather", self.map(), self._around(found, range(column, column + 1), 3))
            largest = emit.op("ReduceMax", values, emit.const([1]), keepdims=0)
            beside.append(emit.op("Greater", largest, emit.const(0.5, np.float32)))
        groups, start = [], emit.const([1])
        for left, right in SIDES:
            has = [side if wanted else emit.op("Not", side) for side, wanted in zip(beside, (left, right), strict=True)]
            mine = emit.op("Squeeze", emit.op("NonZero", emit.op("And", *has)), emit.const([0]))
            groups.append(self._make_group(left, right, emit.op("Gather", found, mine), start))
            start = emit.op("Add", start, groups[-1].size)
        return tuple(groups)

    def _make_group(self, left: bool, right: bool, real: str, start: str) -> Group:
        emit, one = self.emit, self.emit.const([1])
        count = emit.op("Shape", real)

        def parts(of: str) -> str:  # at least one, so that no loop is empty
            whole = emit.op("Div", emit.op("Sub", emit.op("Add", count, of), one), of)
            return emit.op("Max", whole, one)

        blocks = parts(emit.const([BLOCK]))
        rows = parts(blocks)
        size = emit.op("Mul", blocks, rows)
        missing = emit.op("Concat", emit.const([0]), emit.op("Sub", size, count), axis=0)
        ends = [emit.op("Squeeze", end, emit.const([0])) for end in (start, emit.op("Add", start, count))]
        return Group(
            left=left,
            right=right,
            blocks=emit.op("Concat", blocks, rows, axis=0),
            size=size,
            numbers=emit.op("Range", *ends, emit.const(1)),
            real=real,
            place=emit.op("Pad", real, missing, self._first()),
        )

    def _first(self) -> str:
        """Emit the first pixel's position in the padded map, `[] int64`."""
        emit = self.emit

        def make() -> str:
            first = emit.op("Mul", emit.op("Add", self.padded_side(3), emit.const([1])), emit.const([MARGIN]))
            return emit.op("Squeeze", first, emit.const([0]))

        return self.once("first", make)

    def _all(self, what: str) -> str:
        """Emit a field of all groups, one after the other."""
        return self.once(
            ("all", what), lambda: self.emit.op("Concat", *(getattr(g, what) for g in self.groups()), axis=0)
        )

    def place(self) -> str:
        """Emit every row's position in the padded map, `[rows] int64`.

        Row 0 lies in the map's corner, which is always clean.
        """
        return self.once("place", lambda: self.emit.op("Concat", self.emit.const([0]), self._all("place"), axis=0))

    def row_map(self) -> str:
        """Emit each active pixel's row, `[N*(H+2m)*(W+2m)] int32`.

        It is 0 where the map is clean or outside the picture.
        """
        return self.once("row map", lambda: self.numbered(self._all("real"), self._all("numbers")))

    def numbered(self, places: str, numbers: str) -> str:
        """Put numbers `[n]` at places `[n]` of a padded map."""
        emit = self.emit
        zeros = emit.op("Expand", emit.const(0, np.int32), emit.op("Shape", self.map()))
        return emit.op("ScatterElements", zeros, places, emit.op("Cast", numbers, to=TensorProto.INT32), axis=0)

    def blocked(self, tensor: str, group: Group, *sides: int) -> str:
        """Reshape a group's `[size, ...]` to `[blocks, rows, *sides]`."""
        return self.emit.op(
            "Reshape", tensor, self.emit.op("Concat", group.blocks, self.emit.const(list(sides)), axis=0)
        )

    def neighbours(self, group: Group, kernel: int) -> str:
        """Emit a group's neighbour rows, `[blocks, rows, k*columns] int32`, 0 where absent."""
        columns = group.columns(kernel)
        return self.once(("neighbours", group, kernel), lambda: self.table(group, self.row_map(), columns, kernel))

    def table(self, group: Group, numbers: str, columns: range, kernel: int) -> str:
        """Look a group's neighbours up in a padded map, `[blocks, rows, k*columns] int32`."""
        found = self.emit.op("Gather", numbers, self._around(group.place, columns, kernel))
        return self.blocked(found, group, kernel * len(columns))

    def parts(self, rows: str, channels: int) -> list[str]:
        """Split `[rows, C]` into each group's `[blocks, rows, C]`."""
        emit = self.emit

        def make() -> list[str]:
            sizes = emit.op("Concat", emit.const([1]), *(group.size for group in self.groups()), axis=0)
            pieces = emit.ops("Split", rows, sizes, outputs=1 + len(SIDES), axis=0)[1:]
            return [self.blocked(piece, group, channels) for piece, group in zip(pieces, self.groups(), strict=True)]

        return self.once(("parts", rows), make)

    def joined(self, parts: list[str], channels: int) -> str:
        """Join each group's `[blocks, rows, C]` after a row of zeros."""
        emit = self.emit
        flat = [emit.op("Reshape", part, emit.const([-1, channels])) for part in parts]
        return emit.op("Concat", emit.const(np.zeros((1, channels)), np.float32), *flat, axis=0)

    def cleared(self, rows: str, channels: int) -> str:
        """Set the first row to zeros, without a copy."""
        emit = self.emit
        return emit.op("ScatterND", rows, emit.const([[0]]), emit.const(np.zeros((1, channels)), np.float32))

    def coordinates(self, place: str) -> tuple[str, str, str]:
        """Emit image, row and column of places, each `[n] int64`.

        Rows and columns of the margin begin at -MARGIN.
        """
        emit, margin = self.emit, self.emit.const([MARGIN])

        def make() -> tuple[str, str, str]:
            line = emit.op("Div", place, self.padded_side(3))
            column = emit.op("Sub", emit.op("Mod", place, self.padded_side(3)), margin)
            row = emit.op("Sub", emit.op("Mod", line, self.padded_side(2)), margin)
            return emit.op("Div", line, self.padded_side(2)), row, column

        return self.once(("coordinates", place), make)

    def unfold(self, rows: str, fine: Sites, channels: int) -> str:
        """Spread rows of this coarse mask over a fine one.

        Rows [rows, 4*C] have the position outermost; each fine pixel takes its own quarter, [fine rows, C].
        """
        emit, two, margin = self.emit, self.emit.const([2]), self.emit.const([MARGIN])
        image, row, column = fine.coordinates(fine.place())

        def coarse(value: str) -> str:
            return emit.op("Add", emit.op("Div", value, two), margin)

        line = emit.op("Add", emit.op("Mul", image, self.padded_side(2)), coarse(row))
        parent = emit.op("Add", emit.op("Mul", line, self.padded_side(3)), coarse(column))
        number = emit.op("Cast", emit.op("Gather", self.row_map(), parent), to=TensorProto.INT64)
        quarter = emit.op("Add", emit.op("Mul", emit.op("Mod", row, two), two), emit.op("Mod", column, two))
        index = emit.op("Add", emit.op("Mul", number, emit.const([4])), quarter)
        return emit.op("Gather", emit.op("Reshape", rows, emit.const([-1, channels])), index)

    def image_of(self, place: str) -> str:
        """Emit the image number of places, `[n] int64`."""
        lines = self.emit.op("Div", place, self.padded_side(3))
        return self.emit.op("Div", lines, self.padded_side(2))

    def pixels(self, place: str, channels: int = 1) -> str:
        """Emit the numbers of the pixels at places `[n]`.

        Pixels are counted through N, H, W, [n] int64. With channels, the result is the position of each pixel's first
        channel in a flat [N,C,H,W].
        """
        emit = self.emit

        def make() -> str:
            image, row, column = self.coordinates(place)
            plane = emit.op("Mul", self.side(2), self.side(3))
            picture = emit.op("Mul", image, emit.op("Mul", plane, emit.const([channels])))
            return emit.op("Add", picture, emit.op("Add", emit.op("Mul", row, self.side(3)), column))

        return self.once(("pixels", place, channels), make)

    def elements(self, first: str, channels: int) -> str:
        """Emit the positions of pixels' channels, `[n, C] int64`.

        They are positions in a flat [N,C,H,W]; `first` has the positions of the first channels.
        """
        emit = self.emit
        plane = self.once("plane", lambda: emit.op("Mul", self.side(2), self.side(3)))
        planes = emit.op("Mul", emit.const(np.arange(channels)[None]), plane)
        return emit.op("Add", emit.op("Unsqueeze", first, emit.const([1])), planes)

    def gathered(self, x: str, place: str, channels: int) -> str:
        """Gather pixels `[n, C]` of x `[N,C,H,W]` at places `[n]`."""
        emit, flat = self.emit, self.emit.const([-1])
        pixels, first = self.pixels(place), self.pixels(place, channels)

        def one_by_one() -> str:
            return emit.op("Gather", emit.op("Reshape", x, flat), self.elements(first, channels))

        def transposed() -> str:
            last = emit.op("Reshape", emit.op("Transpose", x, perm=[0, 2, 3, 1]), emit.const([-1, channels]))
            return emit.op("Gather", last, pixels)

        def make() -> str:
            few = emit.op("Less", emit.op("Mul", emit.op("Size", place), emit.const(FEW)), emit.op("Size", self.mask))
            return emit.choose(few, one_by_one, transposed)

        return self.once(("gathered", x, place), make)

    def lift(self, x: str, channels: int) -> str:
        """Gather the active pixels of x `[N,C,H,W]` as rows."""
        rows = self.gathered(x, self._all("place"), channels)
        return self.emit.op("Concat", self.emit.const(np.zeros((1, channels)), np.float32), rows, axis=0)

    def write(self, rows: str, channels: int, onto: str = "") -> str:
        """Write rows [rows, C] back to [N,C,H,W].

        Clean pixels come from `onto`; without it they have the values of row 0, which are zeros.
        """
        if not onto:
            return self._spread(rows, channels)
        emit, flat = self.emit, self.emit.const([-1])
        shape = emit.op("Concat", self.side(0), emit.const([channels]), self.side(2), self.side(3), axis=0)
        real = emit.op("Reshape", emit.op("Gather", rows, self._all("numbers")), flat)
        index = emit.op("Reshape", self.elements(self.pixels(self._all("real"), channels), channels), flat)
        filled = emit.op("ScatterElements", emit.op("Reshape", onto, flat), index, real, axis=0)
        return emit.op("Reshape", filled, shape)

    def _spread(self, rows: str, channels: int) -> str:
        """Write rows to full size, each pixel fetching its row.

        Clean pixels fetch row 0. This is one pass, where filling and scattering take three.
        """
        emit = self.emit
        sides = emit.op("Concat", self.side(0), self.padded_side(2), self.padded_side(3), axis=0)
        numbers = emit.op("Reshape", self.row_map(), sides)
        ends = emit.const([MARGIN, MARGIN]), emit.const([-MARGIN, -MARGIN])
        inner = emit.op("Slice", numbers, *ends, emit.const([1, 2]))
        return emit.op("Transpose", emit.op("Gather", rows, inner), perm=[0, 3, 1, 2])

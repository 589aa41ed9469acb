"""The active pixels of one mask inside a packed graph: their positions, their neighbours, and back to full size."""

from __future__ import annotations

from typing import Any

import numpy as np

from .emit import Emitter

MARGIN = 2
"""Clean border of the row map, so that neighbours outside the picture are absent: half of the largest kernel, 5."""


class Sites:
    """Emits, once each and only if asked for, what layers under one mask share.

    Rows are ordered by image, then row-major. A pixel of the padded map holds 1 + its row, or 0 where clean.
    """

    def __init__(self, emit: Emitter, mask: str) -> None:
        self.emit, self.mask = emit, mask
        self._memo: dict[Any, str] = {}

    def _once(self, key: Any, make: Any) -> str:
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]

    def flat(self) -> str:
        """[n] int64: position of every active pixel in N*H*W."""

        def make() -> str:
            everything = self.emit.op("Reshape", self.mask, self.emit.const([-1]))
            return self.emit.op("Squeeze", self.emit.op("NonZero", everything), self.emit.const([0]))

        return self._once("flat", make)

    def side(self, axis: int) -> str:
        """[1] int64: N (0), H (2) or W (3)."""
        return self._once(("side", axis), lambda: self.emit.op("Shape", self.mask, start=axis, end=axis + 1))

    def _split(self) -> tuple[str, str, str]:
        """[n] int64 each: image, row and column of every active pixel."""
        emit = self.emit

        def make(what: str) -> str:
            line = self._once("line", lambda: emit.op("Div", self.flat(), self.side(3)))
            return {
                "column": lambda: emit.op("Mod", self.flat(), self.side(3)),
                "row": lambda: emit.op("Mod", line, self.side(2)),
                "image": lambda: emit.op("Div", line, self.side(2)),
            }[what]()

        image, row, column = (self._once(what, lambda what=what: make(what)) for what in ("image", "row", "column"))
        return image, row, column

    def _padded_position(self, row: str, column: str) -> str:
        """Position in the padded map of pixels of this mask's images, given [n] rows and columns."""
        emit = self.emit
        margin, twice = emit.const([MARGIN]), emit.const([2 * MARGIN])
        width = self._once("padded width", lambda: emit.op("Add", self.side(3), twice))
        height = self._once("padded height", lambda: emit.op("Add", self.side(2), twice))
        image = self._split()[0]
        line = emit.op("Add", emit.op("Mul", image, height), emit.op("Add", row, margin))
        return emit.op("Add", emit.op("Mul", line, width), emit.op("Add", column, margin))

    def padded(self) -> str:
        """[n] int64: position of every active pixel in the padded map."""
        return self._once("padded", lambda: self._padded_position(*self._split()[1:]))

    def row_map(self) -> str:
        """[N*(H+2m)*(W+2m)] int64: 1 + row of the active pixel there, 0 where clean or outside."""
        emit = self.emit

        def make() -> str:
            self.padded()
            size = emit.op("Mul", self._memo["padded height"], self._memo["padded width"])
            size = emit.op("Mul", size, self.side(0))
            zero = emit.op("Expand", emit.const([0]), size)
            count = emit.op("Squeeze", emit.op("Shape", self.flat()), emit.const([0]))
            one = emit.const(1)
            numbers = emit.op("Range", one, emit.op("Add", count, one), one)
            return emit.op("ScatterElements", zero, self.padded(), numbers, axis=0)

        return self._once("row map", make)

    def _offsets(self, kernel: int) -> str:
        """[1, k*k] int64: steps in the padded map to the neighbours, row-major."""
        emit, radius = self.emit, kernel // 2

        def make() -> str:
            self.padded()
            rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1].reshape(2, 1, -1)
            return emit.op("Add", emit.op("Mul", emit.const(rows), self._memo["padded width"]), emit.const(columns))

        return self._once(("offsets", kernel), make)

    def neighbours(self, kernel: int) -> str:
        """[n, k*k] int64: 1 + row of each neighbour, 0 where it is clean or outside."""
        emit = self.emit

        def make() -> str:
            positions = emit.op("Unsqueeze", self.padded(), emit.const([1]))
            return emit.op("Gather", self.row_map(), emit.op("Add", positions, self._offsets(kernel)))

        return self._once(("neighbours", kernel), make)

    def neighbours_of_rows(self, rows: str, kernel: int, channels: int) -> str:
        """rows [n,C] -> [n, k*k*C]: features of the active neighbours, zeros for the others."""
        emit = self.emit
        absent = emit.const(np.zeros((1, channels)), np.float32)
        columns = emit.op("Gather", emit.op("Concat", absent, rows, axis=0), self.neighbours(kernel))
        return emit.op("Reshape", columns, emit.const([-1, kernel * kernel * channels]))

    def neighbours_of_map(self, x: str, kernel: int, channels: int) -> str:
        """x [N,C,H,W] -> [n, k*k*C]: features of all neighbours, zeros outside the picture."""
        emit, margin = self.emit, MARGIN
        last = emit.op("Transpose", x, perm=[0, 2, 3, 1])
        padded = emit.op("Pad", last, emit.const([0, margin, margin, 0] * 2))
        pixels = emit.op("Reshape", padded, emit.const([-1, channels]))
        positions = emit.op("Unsqueeze", self.padded(), emit.const([1]))
        columns = emit.op("Gather", pixels, emit.op("Add", positions, self._offsets(kernel)))
        return emit.op("Reshape", columns, emit.const([-1, kernel * kernel * channels]))

    def unfold(self, rows: str, fine: Sites) -> str:
        """rows [n, 4*C] of this coarse mask, position outermost -> [fine n, C]: each fine pixel's own quarter."""
        emit, two = self.emit, self.emit.const([2])
        _, row, column = fine._split()
        # The images of both masks are the same, so the fine pixel's image serves the coarse position.
        width = self._once("padded width", lambda: emit.op("Add", self.side(3), emit.const([2 * MARGIN])))
        height = self._once("padded height", lambda: emit.op("Add", self.side(2), emit.const([2 * MARGIN])))
        line = emit.op("Mul", fine._split()[0], height)
        line = emit.op("Add", line, emit.op("Add", emit.op("Div", row, two), emit.const([MARGIN])))
        parent = emit.op("Mul", line, width)
        parent = emit.op("Add", parent, emit.op("Add", emit.op("Div", column, two), emit.const([MARGIN])))
        number = emit.op("Sub", emit.op("Gather", self.row_map(), parent), emit.const([1]))
        quarter = emit.op("Mul", emit.op("Mod", row, two), two)
        quarter = emit.op("Add", quarter, emit.op("Mod", column, two))
        index = emit.op("Add", emit.op("Mul", number, emit.const([4])), quarter)
        shape = emit.op("Shape", rows, start=1, end=2)
        channels = emit.op("Div", shape, emit.const([4]))
        quarters = emit.op("Reshape", rows, emit.op("Concat", emit.const([-1]), channels, axis=0))
        return emit.op("Gather", quarters, index)

    def own_image(self, key_mask: str) -> str:
        """key_mask [N,1,K,L] -> [n, N*K*L] float: 1 where a key is clean and of the active pixel's own image."""
        emit = self.emit
        flat = emit.op("Reshape", key_mask, emit.const([0, -1]))  # [N,J]
        images = emit.op("Range", emit.const(0), emit.op("Squeeze", self.side(0), emit.const([0])), emit.const(1))
        same = emit.op(
            "Equal", emit.op("Unsqueeze", images, emit.const([1])), emit.op("Unsqueeze", images, emit.const([0]))
        )
        same = emit.op("Unsqueeze", emit.op("Cast", same, to=1), emit.const([2]))  # [N,N,1]
        table = emit.op("Mul", same, emit.op("Unsqueeze", flat, emit.const([0])))  # [N,N,J]
        table = emit.op("Reshape", table, emit.op("Concat", self.side(0), emit.const([-1]), axis=0))
        return emit.op("Gather", table, self._split()[0])

    def scatter(self, rows: str) -> str:
        """rows [n,C] -> [N,C,H,W], zeros at clean pixels."""
        emit = self.emit
        channels = emit.op("Shape", rows, start=1, end=2)
        pixels = emit.op("Mul", emit.op("Mul", self.side(0), self.side(2)), self.side(3))
        zero = emit.op("Expand", emit.const(0.0, np.float32), emit.op("Concat", pixels, channels, axis=0))
        filled = emit.op("ScatterND", zero, emit.op("Unsqueeze", self.flat(), emit.const([1])), rows)
        shape = emit.op("Concat", self.side(0), self.side(2), self.side(3), channels, axis=0)
        return emit.op("Transpose", emit.op("Reshape", filled, shape), perm=[0, 3, 1, 2])

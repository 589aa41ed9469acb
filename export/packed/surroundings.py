"""Active pixels and their neighbours as rows.

Layers whose window reaches clean pixels read these rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx

from ..passes.base import PassError
from ..passes.graph import Shape, attribute_of, channels_of
from .sites import Sites

_BY_ELEMENT = ("Add", "Sub", "Mul")


class Surroundings:
    """Rows of the pixels around a mask's active pixels.

    Row 0 is all zeros and stands for pixels outside the picture. Tensors that are joined or computed pixel by pixel
    from dense tensors, as the modulation of features, are joined and computed on the rows alone.
    """

    def __init__(self, sites: Sites, radius: int, shapes: Mapping[str, Shape]) -> None:
        """Describe the surroundings of a mask.

        Args:
            sites: active pixels of the mask.
            radius: largest distance from an active pixel, in rows and in columns.
            shapes: shapes of the dense graph's tensors.
        """
        self.sites, self.emit, self._radius, self._shapes = sites, sites.emit, radius, shapes

    def _key(self, what: str) -> tuple[str, str, int]:
        return ("around", what, self._radius)

    def places(self) -> str:
        """Emit the pixels' positions in the padded map, `[n] int64`."""
        emit, radius, side = self.emit, self._radius, 2 * self._radius + 1

        def make() -> str:
            wide = emit.op("MaxPool", self.sites.mask, kernel_shape=[side] * 2, pads=[radius] * 4, strides=[1, 1])
            return emit.op("Squeeze", emit.op("NonZero", self.sites.padded(wide)), emit.const([0]))

        return self.sites.once(self._key("places"), make)

    def row_map(self) -> str:
        """Emit each pixel's row, `[N*(H+2m)*(W+2m)] int32`.

        It is 0 for pixels without a row.
        """
        emit = self.emit

        def make() -> str:
            one = emit.const(1)
            last = emit.op("Add", emit.op("Squeeze", emit.op("Shape", self.places()), emit.const([0])), one)
            return self.sites.numbered(self.places(), emit.op("Range", one, last, one))

        return self.sites.once(self._key("row map"), make)

    def joined(self, rows: str, channels: int) -> str:
        """Put the row of zeros before rows [n, C]."""
        return self.emit.op("Concat", self.emit.const(np.zeros((1, channels)), np.float32), rows, axis=0)

    def rows(self, name: str, made_by: Callable[[str], onnx.NodeProto | None]) -> str:
        """Emit the rows [n, C] of a dense tensor [N,C,H,W].

        Args:
            name: the tensor, of the mask's size.
            made_by: returns the dense graph's node that makes a tensor; None for an input or a constant.

        Raises:
            PassError: its number of channels is unknown.
        """
        return self.sites.once(("rows around", name, self._radius), lambda: self._rows(name, made_by))

    def _rows(self, name: str, made_by: Callable[[str], onnx.NodeProto | None]) -> str:
        emit, node = self.emit, made_by(name)
        if node is not None and node.op_type == "Concat" and attribute_of(node, "axis") == 1:
            return emit.op("Concat", *(self.rows(part, made_by) for part in node.input), axis=1)
        if node is not None and node.op_type in _BY_ELEMENT and all(map(self._is_broadcast, node.input)):
            return emit.op(node.op_type, *(self._operand(part, made_by) for part in node.input))
        channels = channels_of(self._shapes, name)
        if channels is None:
            raise PassError(f"{name}, which a clean_input layer reads, has an unknown number of channels")
        return self.sites.gathered(name, self.places(), channels)

    def _is_broadcast(self, name: str) -> bool:
        """Return whether an operand can be read as rows.

        It may be a map, one value for each channel and image, or a number. Shape inference follows no sizes through
        strides, so every tensor [N,C,?,?] of other sizes counts as a map. The comparison with the dense graph at export
        would show a mistake.
        """
        shape = self._shapes.get(name)
        return shape is not None and (_is_number(shape) or len(shape) == 4)

    def _operand(self, name: str, made_by: Callable[[str], onnx.NodeProto | None]) -> str:
        shape, emit = self._shapes[name], self.emit
        if _is_number(shape):
            return emit.op("Reshape", name, emit.const([1, 1]))
        if shape[2:] != (1, 1):
            return self.rows(name, made_by)
        values = emit.op("Squeeze", name, emit.const([2, 3]))
        if shape[0] == 1:  # one value for all images
            return values
        return emit.op("Gather", values, self.sites.coordinates(self.places())[0])


def _is_number(shape: Shape) -> bool:
    return all(size == 1 for size in shape) and len(shape) < 4

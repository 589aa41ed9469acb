"""What layers read that look at clean neighbours too: dense tensors as rows, of active pixels and those around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import helper

from ..passes.graph import Shape, channels_of
from .sites import Sites

_BY_ELEMENT = ("Add", "Sub", "Mul")


class Surroundings:
    """The pixels within a radius of a mask's active ones, as rows; row 0 is all zeros and stands for what is outside.

    What is joined or computed pixel by pixel from dense tensors (the modulation of features) is joined and computed on
    the rows alone.
    """

    def __init__(self, sites: Sites, radius: int, shapes: Mapping[str, Shape]) -> None:
        """For the mask of `sites`; `shapes` are those of the dense graph's tensors."""
        self.sites, self.emit, self._radius, self._shapes = sites, sites.emit, radius, shapes

    def _key(self, what: str) -> tuple[str, str, int]:
        return ("around", what, self._radius)

    def places(self) -> str:
        """[n] int64: positions in the padded map."""
        emit, radius, side = self.emit, self._radius, 2 * self._radius + 1

        def make() -> str:
            wide = emit.op("MaxPool", self.sites.mask, kernel_shape=[side] * 2, pads=[radius] * 4, strides=[1, 1])
            return emit.op("Squeeze", emit.op("NonZero", self.sites.padded(wide)), emit.const([0]))

        return self.sites.once(self._key("places"), make)

    def row_map(self) -> str:
        """[N*(H+2m)*(W+2m)] int32: the row of each pixel, 0 for those that have none."""
        emit = self.emit

        def make() -> str:
            one = emit.const(1)
            last = emit.op("Add", emit.op("Squeeze", emit.op("Shape", self.places()), emit.const([0])), one)
            return self.sites.numbered(self.places(), emit.op("Range", one, last, one))

        return self.sites.once(self._key("row map"), make)

    def joined(self, rows: str, channels: int) -> str:
        """Rows [n, C] with the row of zeros before them."""
        return self.emit.op("Concat", self.emit.const(np.zeros((1, channels)), np.float32), rows, axis=0)

    def rows(self, name: str, made_by: Callable[[str], onnx.NodeProto | None]) -> str:
        """A dense tensor [N,C,H,W] of the mask's size -> [n, C].

        Args:
            name: the tensor.
            made_by: the dense graph's node that makes a tensor; None if it is an input or a constant.

        Raises:
            ValueError: its number of channels is not known.
        """
        return self.sites.once(("rows around", name, self._radius), lambda: self._rows(name, made_by))

    def _rows(self, name: str, made_by: Callable[[str], onnx.NodeProto | None]) -> str:
        emit, node = self.emit, made_by(name)
        if node is not None and node.op_type == "Concat" and _axis(node) == 1:
            return emit.op("Concat", *(self.rows(part, made_by) for part in node.input), axis=1)
        if node is not None and node.op_type in _BY_ELEMENT and all(map(self._is_broadcast, node.input)):
            return emit.op(node.op_type, *(self._operand(part, made_by) for part in node.input))
        channels = channels_of(self._shapes, name)
        if channels is None:
            raise ValueError(f"{name}, which a clean_input layer reads, has an unknown number of channels")
        return self.sites.gathered(name, self.places(), channels)

    def _is_broadcast(self, name: str) -> bool:
        """Whether an operand is a map, one value per channel and image, or a number.

        Inference follows no sizes through strides, so a map is what is not known to be anything else; the comparison
        with the dense graph at export would notice.
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
        if shape[0] == 1:  # the same for all images
            return values
        return emit.op("Gather", values, self.sites.coordinates(self.places())[0])


def _is_number(shape: Shape) -> bool:
    return all(size == 1 for size in shape) and len(shape) < 4


def _axis(node: onnx.NodeProto) -> int:
    return next(helper.get_attribute_value(attribute) for attribute in node.attribute if attribute.name == "axis")

"""A graph pass: operators whose clean pixels nobody reads need not set them to zero."""

from __future__ import annotations

from collections import defaultdict

import onnx
from onnx import helper, numpy_helper

from ..operators.bodies import DOMAIN
from .residuals import MASK_INPUT

ATTRIBUTE = "clear_output"
"""0: the plugin may leave whatever was in memory at the output's clean pixels. Function bodies know nothing of it."""
SUMS = frozenset({"Add", "Sub", "Mul"})
"""Operators whose output at a pixel depends on all their inputs at that pixel alone."""
MAPS = frozenset({"Relu", "LeakyRelu", "Clip", "Cast", "QuantizeLinear", "DequantizeLinear"})
"""Operators whose output at a pixel depends on their first input at that pixel alone."""


class SkipUnreadPixels:
    """Marks the sparse operators whose output is read at distorted pixels only.

    Zeros at clean pixels are part of an operator's meaning, and writing them costs what a whole tensor costs, however
    few pixels are distorted. Where every reader, followed through elementwise operators and pixel shuffles, looks at
    distorted pixels only, the zeros are left out, so that the cost follows the distortion.

    Requires: nothing.
    Ensures: the same outputs of the graph whatever lies at the unwritten pixels, NaN included. Every operator with the
    attribute carries it, 0 or 1.
    """

    def __call__(self, model: onnx.ModelProto) -> bool:
        """Rewrite in place; True if an operator was marked with 0."""
        readers = _Readers(model.graph)
        marked = False
        for node in model.graph.node:
            if node.domain != DOMAIN or node.op_type not in MASK_INPUT:
                continue
            unread = readers.only_read_where(node.output[0], node.input[MASK_INPUT[node.op_type]])
            _set_attribute(node, 0 if unread else 1)
            marked |= unread
        self.ensures(model)
        return marked

    def ensures(self, model: onnx.ModelProto) -> None:
        """Raise if the rewritten graph is not valid ONNX."""
        onnx.checker.check_model(model)


class _Readers:
    """Who reads which tensor of a graph, and where."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._nodes: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        self._makers: dict[str, onnx.NodeProto] = {}
        for node in graph.node:
            for name in set(node.input):
                self._nodes[name].append(node)
            self._makers.update(dict.fromkeys(node.output, node))
        self._outputs = {value.name for value in graph.output}
        self._constants = {tensor.name: tensor for tensor in graph.initializer}

    def only_read_where(self, name: str, mask: str) -> bool:
        """Whether nothing depends on the tensor at pixels where the mask is 0."""
        mask = self._origin(mask)
        if name in self._outputs or not self._nodes[name]:
            return False
        return all(self._reads_only(node, name, mask) for node in self._nodes[name])

    def _origin(self, mask: str) -> str:
        """The tensor that a mask was cast from: 0 at the same pixels, in another type."""
        node = self._makers.get(mask)
        return self._origin(node.input[0]) if node is not None and node.op_type == "Cast" else mask

    def _reads_only(self, node: onnx.NodeProto, name: str, mask: str) -> bool:
        if node.domain == DOMAIN:
            index = MASK_INPUT.get(node.op_type)
            own = index is not None and self._origin(node.input[index]) == mask
            return own and _operator_reads_only(node, name)
        if node.op_type in SUMS or (node.op_type in MAPS and name not in node.input[1:]):
            return self.only_read_where(node.output[0], mask)
        if node.op_type == "DepthToSpace":
            return any(self.only_read_where(node.output[0], finer) for finer in self._finer_masks(node, mask))
        if node.op_type == "Where" and name not in (node.input[0], node.input[2]):
            return self._is_where_distorted(node.input[0], mask)
        return False

    def _finer_masks(self, shuffle: onnx.NodeProto, mask: str) -> list[str]:
        """Masks of the shuffled size that are 0 wherever `mask` is: those that it is the maximum of, block by block."""
        pool = self._makers.get(mask)
        if pool is None or pool.op_type != "MaxPool":
            return []
        size = _attribute(shuffle, "blocksize")
        windows = (_attribute(pool, "kernel_shape"), _attribute(pool, "strides"))
        return [pool.input[0]] if windows == ([size, size], [size, size]) else []

    def _is_where_distorted(self, condition: str, mask: str) -> bool:
        """Whether a condition holds at distorted pixels only: that the mask exceeds a constant which 0 does not."""
        node = self._makers.get(condition)
        if node is None or node.op_type != "Greater" or self._origin(node.input[0]) != mask:
            return False
        bound = self._constants.get(node.input[1])
        return bound is not None and bool((numpy_helper.to_array(bound) >= 0).all())


def _operator_reads_only(node: onnx.NodeProto, name: str) -> bool:
    """Whether a `spair` operator reads the tensor under its mask: as queries, as a residual, or as masked input."""
    places = {position for position, read in enumerate(node.input) if read == name}
    residual = {len(node.input) - 1} if node.op_type.endswith("Add") else set()
    if node.op_type == "SparseNonLocal" or not _attribute(node, "clean_input"):
        return places <= {0} | residual
    return places <= residual


def _attribute(node: onnx.NodeProto, name: str) -> object:
    """The value of an attribute, None where it is not given."""
    return next((helper.get_attribute_value(part) for part in node.attribute if part.name == name), None)


def _set_attribute(node: onnx.NodeProto, value: int) -> None:
    kept = [part for part in node.attribute if part.name != ATTRIBUTE]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(ATTRIBUTE, value)])

"""Pass that leaves unread clean pixels unwritten."""

from __future__ import annotations

import onnx
from onnx import helper, numpy_helper

from ..operators.table import Operator
from .base import GraphPass, PassError, PassResult
from .graph import attribute_of, initializers_of, makers_of, operator_of, output_names, readers_of

ATTRIBUTE = "clear_output"
"""Attribute of a sparse operator: 1, or 0 if its plugin may leave the output's clean pixels unwritten. Function bodies
ignore it."""
SUMS = frozenset({"Add", "Sub", "Mul"})
"""Operators whose output at a pixel depends on all their inputs at that pixel alone."""
MAPS = frozenset({"Relu", "LeakyRelu", "Clip", "Cast", "QuantizeLinear", "DequantizeLinear"})
"""Operators whose output at a pixel depends on their first input at that pixel alone."""


class SkipUnreadPixels(GraphPass[PassResult]):
    """Pass that marks sparse operators read at distorted pixels only.

    Zeros at clean pixels are part of an operator's meaning, but writing them costs as much as writing a whole tensor,
    however few pixels are distorted. The pass follows every reader of an operator's output through elementwise
    operators and pixel shuffles. Where all of them look at distorted pixels only, it sets the attribute to 0, and the
    cost of the operator follows the share of distorted pixels.

    Requires: any graph.
    Ensures: the same outputs of the graph for all values at the unwritten pixels, NaN included. Every operator whose
    output is zero at clean pixels has the attribute.
    """

    def rewrite(self, model: onnx.ModelProto) -> PassResult:
        """Set the attribute of every operator with an output mask."""
        readers = _Readers(model.graph)
        modified = False
        for node in model.graph.node:
            operator = operator_of(node)
            if operator is None or operator.mask is None:
                continue
            unread = readers.only_read_where(node.output[0], node.input[operator.position(operator.mask)])
            modified |= _set_attribute(node, 0 if unread else 1)
        return PassResult(modified)

    def ensures(self, model: onnx.ModelProto) -> None:
        """Raise PassError for an operator without the attribute."""
        for node in model.graph.node:
            operator = operator_of(node)
            if operator is not None and operator.mask is not None and attribute_of(node, ATTRIBUTE) not in (0, 1):
                raise PassError(f"{node.op_type} {node.output[0]} has no attribute {ATTRIBUTE} of 0 or 1")


class _Readers:
    """Readers of a graph's tensors and the pixels they read."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._nodes, self._makers = readers_of(graph), makers_of(graph)
        self._outputs, self._constants = output_names(graph), initializers_of(graph)

    def only_read_where(self, name: str, mask: str) -> bool:
        """Return whether a tensor matters under a mask only."""
        mask = self._origin(mask)
        if name in self._outputs or name not in self._nodes:
            return False
        return all(self._reads_only(node, name, mask) for node in self._nodes[name])

    def _origin(self, mask: str) -> str:
        """Return the tensor that a mask was cast from.

        It is 0 at the same pixels.
        """
        node = self._makers.get(mask)
        return self._origin(node.input[0]) if node is not None and node.op_type == "Cast" else mask

    def _reads_only(self, node: onnx.NodeProto, name: str, mask: str) -> bool:
        operator = operator_of(node)
        if operator is not None:
            if operator.mask is None or self._origin(node.input[operator.position(operator.mask)]) != mask:
                return False
            return _operator_reads_only(operator, node, name)
        if node.op_type in SUMS or (node.op_type in MAPS and name not in node.input[1:]):
            return self.only_read_where(node.output[0], mask)
        if node.op_type == "DepthToSpace":
            return any(self.only_read_where(node.output[0], finer) for finer in self._finer_masks(node, mask))
        if node.op_type == "Where" and name not in (node.input[0], node.input[2]):
            return self._is_where_distorted(node.input[0], mask)
        return False

    def _finer_masks(self, shuffle: onnx.NodeProto, mask: str) -> list[str]:
        """Return masks of a shuffle's output that refine a mask.

        They are 0 wherever `mask` is: `mask` is their maximum over the blocks of the shuffle.
        """
        pool = self._makers.get(mask)
        if pool is None or pool.op_type != "MaxPool":
            return []
        size = attribute_of(shuffle, "blocksize")
        windows = (attribute_of(pool, "kernel_shape"), attribute_of(pool, "strides"))
        return [pool.input[0]] if windows == ([size, size], [size, size]) else []

    def _is_where_distorted(self, condition: str, mask: str) -> bool:
        """Return whether a condition holds at distorted pixels only.

        It must say that the mask exceeds a constant of 0 or more.
        """
        node = self._makers.get(condition)
        if node is None or node.op_type != "Greater" or self._origin(node.input[0]) != mask:
            return False
        bound = self._constants.get(node.input[1])
        return bound is not None and bool((numpy_helper.to_array(bound) >= 0).all())


def _operator_reads_only(operator: Operator, node: onnx.NodeProto, name: str) -> bool:
    """Return whether a node reads a tensor under its mask."""
    active = {operator.position(part) for part in operator.active_inputs}
    if attribute_of(node, "clean_input"):
        active.discard(operator.position("x"))
    return {position for position, read in enumerate(node.input) if read == name} <= active


def _set_attribute(node: onnx.NodeProto, value: int) -> bool:
    """Set a node's attribute; return whether it changed."""
    if attribute_of(node, ATTRIBUTE) == value:
        return False
    kept = [part for part in node.attribute if part.name != ATTRIBUTE]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(ATTRIBUTE, value)])
    return True

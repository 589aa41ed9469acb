"""Pass that lets sparse convolutions do what follows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ..operators.bodies import renew_function_bodies
from ..operators.table import Operator
from ..passes.base import GraphPass, PassResult
from ..passes.graph import (
    attribute_of,
    drop_unused,
    initializers_of,
    is_pixel_shuffle,
    makers_of,
    operator_of,
    output_names,
    readers_of,
    replace_nodes,
)

SLOPE = "sum_slope"
"""Attribute of listed forms with a residual: slope below zero of the activation of the sum."""
_STEP = 8
"""Channels that a coarse residual's must be a multiple of, so that reads are 16 bytes wide."""


class FuseEpilogues(GraphPass[PassResult]):
    """Pass that fuses dense layers around listed convolutions.

    A ReLU after a sum reads and writes every pixel, as do a pixel shuffle and the mask behind it. The convolution that
    makes the sum applies the ReLU where it writes, and reads the residual before the shuffle, at active pixels only.
    The convolution before the shuffle gives its channels in another order for that: position by position.

    Requires: any graph. Layers that something else reads as well stay.
    Ensures: the same results.
    """

    def rewrite(self, model: onnx.ModelProto) -> PassResult:
        """Fuse what follows and what precedes sums."""
        graph = model.graph
        found = _Graph(graph)
        gone: set[str] = set()
        for node in graph.node:
            operator = operator_of(node)
            if operator is None or SLOPE not in operator.attributes:
                continue
            relu = found.only_reader(node.output[0])
            if relu is not None and relu.op_type == "Relu" and attribute_of(node, SLOPE) == 1:
                _set_slope(node, 0.0)
                gone.add(node.output[0])
                node.output[0] = relu.output[0]
            shuffle = found.find_shuffle(node, operator)
            if shuffle is not None and operator.coarse_form is not None:
                coarse = found.makers[shuffle.input[0]]
                _order_by_position(graph, coarse)
                node.op_type = operator.coarse_form
                node.input[len(node.input) - 1] = coarse.output[0]
                gone.add(shuffle.output[0])
        if not gone:
            return PassResult(False)
        replace_nodes(
            graph,
            [
                onnx.NodeProto.FromString(node.SerializeToString())
                for node in graph.node
                if not (node.op_type == "Relu" and node.input[0] in gone)
            ],
        )
        drop_unused(graph)
        renew_function_bodies(model)
        return PassResult(True)


class _Graph:
    """Makers and readers of a graph's tensors."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.makers, self._readers, self._outputs = makers_of(graph), readers_of(graph), output_names(graph)
        self._stored = initializers_of(graph)
        self._uses = Counter(name for node in graph.node for name in node.input)

    def only_reader(self, name: str) -> onnx.NodeProto | None:
        """Return the only node that reads a tensor, once."""
        if name in self._outputs or self._uses[name] != 1:
            return None
        return self._readers[name][0]

    def find_shuffle(self, node: onnx.NodeProto, operator: Operator) -> onnx.NodeProto | None:
        """Return the pixel shuffle that makes a convolution's residual.

        Only the product with the convolution's mask stands between them, and nothing else reads what lies between the
        two convolutions.
        """
        if not operator.has_input("residual"):
            return None
        mask, residual = node.input[operator.position("mask")], node.input[operator.position("residual")]
        product = self.makers.get(residual)
        if product is None or product.op_type != "Mul" or product.domain or mask not in product.input:
            return None
        shuffled = next((name for name in product.input if name != mask), "")
        shuffle = self.makers.get(shuffled)
        if shuffle is None or not is_pixel_shuffle(shuffle):
            return None
        if not all(self.only_reader(name) is not None for name in (residual, shuffled, shuffle.input[0])):
            return None
        return shuffle if self._is_orderable(self.makers.get(shuffle.input[0])) else None

    def _is_orderable(self, node: onnx.NodeProto | None) -> bool:
        """Return whether a node may give positions in order.

        It must be a listed convolution without a residual. Its channels must be whole steps at each position.
        """
        operator = None if node is None else operator_of(node)
        if node is None or operator is None or not operator.has_input("packed") or SLOPE in operator.attributes:
            return False
        outputs = self._stored[node.input[operator.position("bias")]].dims[0]
        return outputs % (4 * _STEP) == 0


def _set_slope(node: onnx.NodeProto, value: float) -> None:
    kept = [part for part in node.attribute if part.name != SLOPE]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(SLOPE, value)])


def _order_by_position(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    """Order a convolution's outputs for a coarse residual.

    A pixel shuffle takes channel c * 4 + position, a coarse residual position * C + c.
    """
    operator = operator_of(node)
    assert operator is not None
    stored = initializers_of(graph)
    integer = operator.type_of("packed") == "int8"
    orders: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
        "packed": lambda value: _order(value, 2 if integer else 3),
        "bias": lambda value: _order(value, 0),
        "scale": lambda value: _order(value, 0),
    }
    for name, order in orders.items():
        if operator.has_input(name):
            place = operator.position(name)
            source = stored[node.input[place]]
            made = numpy_helper.from_array(order(numpy_helper.to_array(source)), f"{source.name}_by_position")
            if made.name not in stored:
                graph.initializer.append(made)
            node.input[place] = made.name


def _order(value: np.ndarray, axis: int) -> np.ndarray:
    """Order an axis by position, then by channel."""
    count = value.shape[axis] // 4
    return np.take(value, np.arange(4 * count).reshape(count, 4).T.ravel(), axis)

"""Pass that lets sparse convolutions read two tensors as one."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ..operators.bodies import renew_function_bodies
from ..operators.table import CHANNELS, JOINED, Operator
from ..passes.base import GraphPass, PassResult
from ..passes.graph import (
    attribute_of,
    channels_of,
    drop_unused,
    initializers_of,
    known_shapes,
    makers_of,
    operator_of,
    replace_nodes,
)

_STEP = 8
"""Channels that others are joined to must be a multiple of this, so that reads are 16 bytes wide."""


class JoinChannels(GraphPass[PassResult]):
    """Pass that fuses concatenations of channels with listed convolutions.

    A concatenation reads and writes two whole tensors so that a convolution finds them side by side. The joined form of
    the convolution reads both tensors, at the pixels that it needs. The one whose channels are a multiple of 8 comes
    first, and the packed weights are ordered for that. Only plugins of engines have this form.

    Requires: any graph. A concatenation stays if it has not two inputs, or if none of them has such channels.
    Ensures: the same results, up to the order of sums.
    """

    def rewrite(self, model: onnx.ModelProto) -> PassResult:
        """Give every listed convolution behind a concatenation both tensors."""
        graph = model.graph
        makers, stored = makers_of(graph), initializers_of(graph)
        shapes = known_shapes(model) if any(node.op_type == "Concat" for node in graph.node) else {}
        modified = False
        for node in graph.node:
            operator = operator_of(node)
            if operator is None or operator.joined_form is None:
                continue
            concat = makers.get(node.input[operator.position("x")])
            if concat is None or concat.op_type != "Concat" or attribute_of(concat, "axis") != 1:
                continue
            (channels,) = attribute_of(node, CHANNELS)
            if len(concat.input) != 2:
                continue
            first = _count_first(concat, channels, [channels_of(shapes, name) for name in concat.input])
            if first is not None:
                _join(node, operator, list(concat.input), (first, channels - first), stored, graph)
                modified = True
        if modified:
            replace_nodes(graph, [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node])
            drop_unused(graph)
            renew_function_bodies(model)
        return PassResult(modified)


def _count_first(concat: onnx.NodeProto, channels: int, known: list[int | None]) -> int | None:
    """Return the channels of a concatenation's first input.

    None says that they are not known, or that neither input may come first.
    """
    first = known[0] if known[0] is not None else None if known[1] is None else channels - known[1]
    if first is None or not 0 < first < channels:
        return None
    return first if first % _STEP == 0 or (channels - first) % _STEP == 0 else None


def _join(
    node: onnx.NodeProto,
    operator: Operator,
    sources: list[str],
    counts: tuple[int, int],
    stored: dict[str, onnx.TensorProto],
    graph: onnx.GraphProto,
) -> None:
    """Change a node into its joined form.

    Args:
        node: the node.
        operator: its operator.
        sources: names of the two tensors.
        counts: channels of each.
        stored: constants of the graph; ordered weights are added.
        graph: the graph.
    """
    assert operator.joined_form is not None
    if counts[0] % _STEP:
        place, axis = operator.position("packed"), 3 if operator.type_of("packed") == "int8" else 2
        source = stored[node.input[place]]
        value = numpy_helper.to_array(source)
        order = [*range(counts[0], sum(counts)), *range(counts[0]), *range(sum(counts), value.shape[axis])]
        made = numpy_helper.from_array(np.take(value, order, axis), f"{source.name}_joined")
        if made.name not in stored:
            graph.initializer.append(made)
            stored[made.name] = made
        node.input[place] = made.name
        sources, counts = sources[::-1], counts[::-1]
    node.op_type = operator.joined_form
    node.input[operator.position("x")] = sources[0]
    node.input.append(sources[1])
    node.attribute.append(helper.make_attribute(JOINED, [counts[1]]))

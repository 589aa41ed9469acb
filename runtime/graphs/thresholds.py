"""Thresholds of masks as inputs with defaults.

A graph that finds a mask compares logits with a constant. Here the constant becomes an input with a default, so that a
caller may give another value for each picture. The file stays as it is, and without another value every result is that
of the file.
"""

from __future__ import annotations

import numpy as np

from .facts import FLOAT, GraphFacts, Node, list_nodes, read_facts
from .outside import find_outside
from .wire import read_fields
from .writing import replace_graph, write_constant, write_field

THRESHOLD = "mask_logit"
"""Name of the input, float32 [1], a logit."""
_MASK = "mask"
"""Name of the output that holds the mask."""
_PART = "net_l/"
"""First letters of what Net_L makes inside a served graph, whose output "mask" is made of its mask."""

# Numbers of fields, from onnx.proto3.
_GRAPH_NODE, _GRAPH_CONSTANT, _GRAPH_INPUT = 1, 5, 11
_NODE_INPUT, _VALUE_NAME, _VALUE_TYPE = 1, 1, 2
_TYPE_TENSOR, _TENSOR_ELEMENT, _TENSOR_SHAPE, _SHAPE_DIM, _DIM_VALUE = 1, 1, 2, 1, 1


def free_threshold(content: bytes) -> bytes | None:
    """Make the threshold of a mask an input.

    Args:
        content: bytes of an ONNX file.

    Returns:
        Bytes of a graph with the further input `THRESHOLD`, whose default is the constant of the file. None for a graph
        that is neither a served one nor has a mask that is a comparison with one constant of float32, and for one that
        leaves weights in other files.

    Raises:
        ValueError: the bytes are no ONNX file.
    """
    if b"Greater" not in content or find_outside(content):
        return None
    data = memoryview(content)
    graph = read_facts(data)
    place = _find_comparison(graph)
    if place is None:
        return None
    values = graph.constants[graph.nodes[place].inputs[1]].values
    nodes = [bytes(raw) for raw in list_nodes(data)]
    nodes[place] = _read_from_input(nodes[place])
    return replace_graph(data, lambda graph: _replace(graph, nodes, values))


def find_logit_of(graph: GraphFacts) -> float | None:
    """Return the constant that logits are compared with.

    None for a graph that `free_threshold` leaves alone.
    """
    place = _find_comparison(graph)
    return None if place is None else graph.constants[graph.nodes[place].inputs[1]].values[0]


def _find_comparison(graph: GraphFacts) -> int | None:
    """Find the node that compares logits with the threshold.

    Returns:
        Its place among the nodes; None where there is none of the known form.
    """
    inside = [
        place
        for place, node in enumerate(graph.nodes)
        if any(name.startswith(_PART) for name in node.outputs) and _is_comparison(graph, node)
    ]
    if inside:
        return inside[0] if len(inside) == 1 and THRESHOLD not in graph.constants else None
    makers = {name: place for place, node in enumerate(graph.nodes) for name in node.outputs}
    names = {*graph.inputs, *graph.constants, *makers}
    cast = makers.get(_MASK)
    if _MASK not in graph.outputs or cast is None or graph.nodes[cast].operator != "Cast" or THRESHOLD in names:
        return None
    place = makers.get(graph.nodes[cast].inputs[0])
    return place if place is not None and _is_comparison(graph, graph.nodes[place]) else None


def _is_comparison(graph: GraphFacts, node: Node) -> bool:
    """Tell whether a node compares with one number."""
    if (node.operator, node.domain) != ("Greater", ""):
        return False
    constant = graph.constants.get(node.inputs[1])
    return constant is not None and constant.element == FLOAT and len(constant.values) == 1


def _read_from_input(node: bytes) -> bytes:
    """Compare with the input in place of the constant."""
    fields = list(read_fields(memoryview(node)))
    second = [place for place, (number, _) in enumerate(fields) if number == _NODE_INPUT][1]
    return b"".join(
        write_field(number, THRESHOLD.encode() if place == second else value)
        for place, (number, value) in enumerate(fields)
    )


def _replace(graph: memoryview, nodes: list[bytes], values: tuple[float, ...]) -> bytes:
    """Write a graph with the input and its default."""
    kept = b"".join(write_field(*entry) for entry in read_fields(graph) if entry[0] != _GRAPH_NODE)
    size = write_field(_TENSOR_SHAPE, write_field(_SHAPE_DIM, write_field(_DIM_VALUE, len(values))))
    kind = write_field(_TYPE_TENSOR, write_field(_TENSOR_ELEMENT, FLOAT) + size)
    given = write_field(_VALUE_NAME, THRESHOLD.encode()) + write_field(_VALUE_TYPE, kind)
    default = write_constant(THRESHOLD, np.array(values, np.float32))
    made = b"".join(write_field(_GRAPH_NODE, node) for node in nodes)
    return made + kept + write_field(_GRAPH_CONSTANT, default) + write_field(_GRAPH_INPUT, given)

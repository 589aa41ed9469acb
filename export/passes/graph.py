"""Readers and makers of ONNX graphs, shared by all passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import onnx
from onnx import TensorProto, helper

from ..operators.table import Operator, find_operator

Shape = tuple[int | str, ...]
"""Sizes of a tensor: a number, the name of a free size, or "" for an unknown size."""


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """Return the values of a node's attributes by name."""
    return {part.name: helper.get_attribute_value(part) for part in node.attribute}


def attribute_of(node: onnx.NodeProto, name: str) -> Any:
    """Return the value of a node's attribute, or None."""
    return next((helper.get_attribute_value(part) for part in node.attribute if part.name == name), None)


def operator_of(node: onnx.NodeProto) -> Operator | None:
    """Return a node's record in the operators' table, or None."""
    return find_operator(node.domain, node.op_type)


def initializers_of(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """Return the stored constants of a graph by name."""
    return {tensor.name: tensor for tensor in graph.initializer}


def makers_of(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    """Return the node that makes each tensor."""
    return {name: node for node in graph.node for name in node.output}


def readers_of(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    """Return the nodes that read each tensor.

    They stand in the graph's order, and each once.
    """
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in dict.fromkeys(node.input):
            readers.setdefault(name, []).append(node)
    return readers


def output_names(graph: onnx.GraphProto) -> set[str]:
    """Return the names of a graph's outputs."""
    return {value.name for value in graph.output}


def bodies_of(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """Return the subgraphs of a node.

    They are the branches of If, or the body of Loop or Scan.
    """
    return [part.g for part in node.attribute if part.type == onnx.AttributeProto.GRAPH]


def names_read_inside(node: onnx.NodeProto) -> set[str]:
    """Return the names of tensors that a node's subgraphs read.

    Names are unique in a graph, so the tensors that a subgraph makes for itself are in the set without harm.
    """
    return {
        name for body in bodies_of(node) for inner in body.node for name in (*inner.input, *names_read_inside(inner))
    }


def channels_of(shapes: Mapping[str, Shape], name: str) -> int | None:
    """Return the channels of a tensor `[N,C,H,W]`, if known."""
    shape = shapes.get(name, ())
    return shape[1] if len(shape) == 4 and isinstance(shape[1], int) else None


def is_pixel_shuffle(node: onnx.NodeProto) -> bool:
    """Return whether a node is PyTorch's pixel shuffle by 2.

    PyTorch reads channel c * 4 + position, which ONNX calls the mode CRD.
    """
    if node.op_type != "DepthToSpace":
        return False
    return attribute_of(node, "blocksize") == 2 and attribute_of(node, "mode") == b"CRD"


def known_shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    """Infer the shapes of a graph's tensors, constants included."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes: dict[str, Shape] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info):
        if not value.type.tensor_type.HasField("shape"):
            continue
        dims = value.type.tensor_type.shape.dim
        shapes[value.name] = tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in dims)
    return shapes


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    """Infer the ONNX element types of a graph's tensors.

    Inputs and constants are included. A tensor whose type inference does not find is not in the result.
    """
    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        types[value.name] = value.type.tensor_type.elem_type
    return types


def make_node(operator: str, inputs: Iterable[str], output: str, name: str = "", **attributes: Any) -> onnx.NodeProto:
    """Make a standard node with one output.

    The node has the name of its output unless another is given.
    """
    return helper.make_node(operator, list(inputs), [output], name=name or output, **attributes)


def make_cast(source: str, target: str, to: TensorProto.DataType, name: str = "") -> onnx.NodeProto:
    """Make a Cast to an ONNX element type."""
    return make_node("Cast", [source], target, name, to=to)


def replace_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Replace a graph's nodes, perhaps by some of its own."""
    kept = list(nodes)
    del graph.node[:]
    graph.node.extend(kept)


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove the nodes and constants that no output needs."""
    needed = output_names(graph)
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input) | names_read_inside(node)
            kept.append(node)
    stored = [tensor for tensor in graph.initializer if tensor.name in needed]
    replace_nodes(graph, reversed(kept))
    del graph.initializer[:]
    graph.initializer.extend(stored)

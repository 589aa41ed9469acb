"""What is known of a graph: shapes, patterns, and what nobody reads."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import helper

Shape = tuple[int | str, ...]
"""Of a tensor: sizes, names of free sizes, or "" where nothing is known."""


def channels_of(shapes: Mapping[str, Shape], name: str) -> int | None:
    """The second size of a tensor of four axes, where it is known."""
    shape = shapes.get(name, ())
    return shape[1] if len(shape) == 4 and isinstance(shape[1], int) else None


def is_pixel_shuffle(node: onnx.NodeProto) -> bool:
    """Whether a node is PyTorch's pixel shuffle by 2: channels first, then the position."""
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return node.op_type == "DepthToSpace" and attributes["blocksize"] == 2 and attributes.get("mode") == b"CRD"


def known_shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    """What shape inference finds, inputs and constants included."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes: dict[str, Shape] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info):
        if not value.type.tensor_type.HasField("shape"):
            continue
        dims = value.type.tensor_type.shape.dim
        shapes[value.name] = tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in dims)
    return shapes


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    """ONNX element type of every tensor of the graph that inference finds one for, inputs and constants included."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        types[value.name] = value.type.tensor_type.elem_type
    return types


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove nodes and initializers that no output needs."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input) | _read_inside(node)
            kept.append(node)
    stored = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:]
    graph.node.extend(reversed(kept))
    del graph.initializer[:]
    graph.initializer.extend(stored)


def _read_inside(node: onnx.NodeProto) -> set[str]:
    """Tensors that the bodies of a node read; names are unique, so those of the body itself do no harm."""
    bodies = [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]
    return {name for body in bodies for inner in body.node for name in (*inner.input, *_read_inside(inner))}

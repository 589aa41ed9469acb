"""Multiply-adds of any network for a pixel of its input."""

from __future__ import annotations

import math

import onnx
from onnx.inliner import inline_local_functions

from ..passes.graph import attribute_of

_CONVOLUTIONS, _MATRICES = ("Conv", "ConvTranspose"), ("MatMul", "Gemm")


def count_products(model: onnx.ModelProto, side: int) -> float | None:
    """Count the multiply-adds of a graph per pixel.

    Only the products of convolutions and matrix products count, as in `network.cost`. How large the tensors are is
    inferred for a square picture.

    Args:
        model: a graph whose only input is a picture [N,C,H,W].
        side: side of the square picture in pixels; for a graph of fixed size its own counts.

    Returns:
        The number; None where the size of a product cannot be inferred.
    """
    sized, pixels = _infer(inline_local_functions(model), side)
    shapes = _list_shapes(sized.graph)
    products = [_count(node, shapes) for node in sized.graph.node if node.op_type in (*_CONVOLUTIONS, *_MATRICES)]
    inside = any(attribute.HasField("g") for node in sized.graph.node for attribute in node.attribute)
    known = [count for count in products if count is not None]
    # What lies in a loop or a branch runs an unknown number of times.
    return None if inside or len(known) < len(products) else sum(known) / pixels


def _infer(model: onnx.ModelProto, side: int) -> tuple[onnx.ModelProto, int]:
    """Infer the shapes of all tensors for one square picture.

    Returns:
        The graph with shapes, and the pixels of its picture.
    """
    sized = onnx.ModelProto.FromString(model.SerializeToString())
    stored = {tensor.name for tensor in sized.graph.initializer}
    (given,) = (value for value in sized.graph.input if value.name not in stored)
    count, _, height, width = given.type.tensor_type.shape.dim
    for axis, size in ((count, 1), (height, side), (width, side)):
        if not axis.dim_value:
            axis.dim_value = size
    del sized.graph.value_info[:]
    for value in sized.graph.output:
        value.type.tensor_type.ClearField("shape")
    pixels = count.dim_value * height.dim_value * width.dim_value
    return onnx.shape_inference.infer_shapes(sized, data_prop=True), pixels


def _list_shapes(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    """List the shapes that are wholly known by tensor."""
    shapes: dict[str, tuple[int, ...]] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.value_info, *graph.input, *graph.output):
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(axis.HasField("dim_value") for axis in kind.shape.dim):
            shapes[value.name] = tuple(axis.dim_value for axis in kind.shape.dim)
    return shapes


def _count(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int | None:
    """Count the products of one layer.

    A layer with an unknown shape has None.
    """
    first, second, made = (shapes.get(name) for name in (*node.input[:2], node.output[0]))
    if first is None or second is None or made is None:
        return None
    if node.op_type == "ConvTranspose":  # every value of the input is multiplied with a kernel for each output channel
        return math.prod(first) * math.prod(second[1:])
    if node.op_type == "Conv":
        return math.prod(made) * math.prod(second[1:])
    turned = node.op_type == "Gemm" and bool(attribute_of(node, "transA"))
    return math.prod(made) * first[-2 if turned else -1]

"""Sparse convolutions of a graph, by size and type."""

from __future__ import annotations

import onnx
from onnx import TensorProto

from ...plugins.compiler.kernels.variants import WINDOWS, Layer
from ...plugins.cost import NumberType
from ..operators.table import CHANNELS, JOINED, Operator
from ..passes.graph import attribute_of, initializers_of, operator_of

FAMILY = "SparseConv2d"
_KINDS: dict[int, NumberType] = {TensorProto.FLOAT: "fp32", TensorProto.FLOAT16: "fp16", TensorProto.INT8: "int8"}


def list_layers(model: onnx.ModelProto) -> frozenset[Layer]:
    """List the sizes and types of a graph's sparse convolutions."""
    return frozenset(layer for _, layer in find_layers(model))


def find_layers(model: onnx.ModelProto) -> list[tuple[onnx.NodeProto, Layer]]:
    """Find a graph's sparse convolutions, with their sizes and types.

    Those whose weights or bias are no constants of the graph, or have sizes that the plugins refuse, are left out.
    """
    constants = initializers_of(model.graph)
    found = []
    for node in model.graph.node:
        operator = operator_of(node)
        if operator is not None and operator.family == FAMILY:
            layer = read_layer(node, operator, constants)
            if layer is not None:
                found.append((node, layer))
    return found


def read_layer(node: onnx.NodeProto, operator: Operator, constants: dict[str, onnx.TensorProto]) -> Layer | None:
    """Read the size and types of a sparse convolution.

    None says that its weights or bias are no constants, or that the plugins refuse them.
    """
    packed = operator.has_input("packed")
    weight = constants.get(node.input[operator.position("packed" if packed else "weight")])
    bias = constants.get(node.input[operator.position("bias")])
    if weight is None or bias is None or len(weight.dims) != 4 or len(bias.dims) != 1:
        return None
    kernel, channels = weight.dims[2], weight.dims[1]
    if packed:
        kernel, (channels,) = weight.dims[0], attribute_of(node, CHANNELS)
    kinds = _KINDS.get(weight.data_type), _KINDS.get(bias.data_type)
    if kinds[0] is None or kinds[1] is None or kernel not in WINDOWS:
        return None
    x: NumberType = "int8" if operator.type_of("x") == "int8" else kinds[1]
    joined = attribute_of(node, JOINED)[0] if operator.has_input("joined") else 0
    return Layer(
        x, kinds[0], kinds[1], kernel, channels, bias.dims[0], operator.has_input("coarse"), joined, operator.gives
    )

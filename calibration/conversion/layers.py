"""Layers of a bundle, which are the nodes with weights.

A layer has the same name in all graphs of the bundle.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import onnx
import onnx.inliner
from onnx import numpy_helper

from ...export.operators.table import OPERATORS
from ...export.passes.graph import attribute_of, element_types, initializers_of, operator_of

WEIGHT_INPUT = {"Conv": 1, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1}
"""Position of the weights among the inputs of standard operators; `OPERATORS` has it for `spair` operators."""
QUANTIZED = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv"}) | {
    operator.name for operator in OPERATORS if any(part.type == "int8" for part in operator.inputs)
}
"""Names of the operators that make or take quantized values."""
SIDE = 64
"""Side in pixels of the picture for which work and sizes are counted; only their ratios matter."""

Key = tuple[str, int]
"""Use of a layer, as its name and the index of its node; recurrent networks have several nodes per layer."""


@dataclasses.dataclass(frozen=True)
class Use:
    """One node of a layer."""

    layer: str
    """Name of the layer."""
    index: int
    """Index of the node among the layer's nodes in its graph."""
    node: str
    """Name of the node's first output, which is unique in the graph."""
    source: str
    """Name of the activation that the node reads."""
    mask: str = ""
    """Name of the node's mask; empty for a layer without one."""
    radius: int = 0
    """Distance in pixels from the mask up to which the node reads."""

    @property
    def key(self) -> Key:
        """Key of this use, the same in every graph."""
        return self.layer, self.index


@dataclasses.dataclass(frozen=True)
class Layer:
    """Weights and the nodes that use them in one graph."""

    name: str
    """Name in the checkpoint, without ".weight"."""
    part: str
    """Graph of the bundle in which the layer is calibrated."""
    operator: str
    """Name of the ONNX operator."""
    shape: tuple[int, ...]
    """Shape of the weights."""
    uses: tuple[Use, ...]
    """Nodes of the layer, in the order of the graph."""
    work: float
    """Multiply-adds of all uses on a picture of SIDE x SIDE, every pixel distorted."""

    @property
    def quantizable(self) -> bool:
        """Whether the layer can be INT8.

        A grouped transposed convolution has no channel axis for its scales and stays as it is.
        """
        return self.operator != "ConvTranspose" or len(self.shape) == 4


def layer_name(initializer: str) -> str:
    """Name a layer after its weights, without wrappers' prefixes."""
    for prefix in ("model.", "module."):
        initializer = initializer.removeprefix(prefix)
    return initializer.removesuffix(".weight")


def weight_of(node: onnx.NodeProto, stored: Mapping[str, onnx.TensorProto] | Mapping[str, object]) -> str | None:
    """Return the initializer that holds a node's weights, or None."""
    position = _weight_position(node)
    name = "" if position is None else node.input[position]
    return name if name in stored else None


def _weight_position(node: onnx.NodeProto) -> int | None:
    """Return the position of a node's float weights, or None."""
    operator = operator_of(node)
    if operator is not None:
        return operator.position("weight") if operator.int8_form and operator.in_bundles else None
    return WEIGHT_INPUT.get(node.op_type)


def uses_of(model: onnx.ModelProto) -> list[Use]:
    """List the uses of layers in a graph, in order."""
    stored = initializers_of(model.graph)
    counts: dict[str, int] = {}
    uses = []
    for node in model.graph.node:
        weight = weight_of(node, stored)
        if weight is None:
            continue
        name = layer_name(weight)
        index = counts.get(name, 0)
        counts[name] = index + 1
        mask, radius = "", 0
        operator = operator_of(node)
        if operator is not None and operator.mask is not None:
            mask = node.input[operator.position(operator.mask)]
            radius = stored[weight].dims[2] // 2 if attribute_of(node, "clean_input") else 0
        uses.append(Use(name, index, node.output[0], node.input[0], mask, radius))
    return uses


def find_layers(graphs: Mapping[str, onnx.ModelProto]) -> list[Layer]:
    """Find the layers of a network, in order.

    Args:
        graphs: graphs that together are the network, net_l and net_r, or model.
    """
    layers = []
    for part, model in graphs.items():
        stored = initializers_of(model.graph)
        nodes = {node.output[0]: node for node in model.graph.node}
        sizes = element_counts(model)
        grouped: dict[str, list[Use]] = {}
        for use in uses_of(model):
            grouped.setdefault(use.layer, []).append(use)
        for name, uses in grouped.items():
            node = nodes[uses[0].node]
            shape = tuple(stored[weight_of(node, stored) or ""].dims)
            work = sum(_work(nodes[use.node], shape, sizes) for use in uses)
            layers.append(Layer(name, part, node.op_type, shape, tuple(uses), work))
    return layers


def element_counts(model: onnx.ModelProto) -> dict[str, int]:
    """Count the elements of each tensor of a graph.

    The picture has a side of SIDE pixels. A tensor whose shape inference does not find has no entry.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in fixed.graph.input:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.dim_param:
                divisor = int(dim.dim_param.partition("/")[2] or 1)
                dim.dim_value = 1 if axis == 0 else SIDE // divisor
    for value in fixed.graph.output:
        value.type.tensor_type.ClearField("shape")
    given = {value.name: value for value in fixed.graph.input}
    for node in fixed.graph.node:  # inference does not follow the sizes that a graph computes for its own padding
        if node.op_type == "Pad" and node.input[0] in given:
            fixed.graph.value_info.add().CopyFrom(given[node.input[0]])
            fixed.graph.value_info[-1].name = node.output[0]
    graph = onnx.shape_inference.infer_shapes(onnx.inliner.inline_local_functions(fixed), data_prop=True).graph
    counts = {tensor.name: math.prod(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim):
            counts[value.name] = math.prod(dim.dim_value for dim in tensor.shape.dim)
    return counts


def float_tensors(model: onnx.ModelProto) -> list[str]:
    """List the float32 tensors that nodes make, in order."""
    types = element_types(model)
    return [
        output
        for node in model.graph.node
        for output in node.output
        if output and types.get(output) == onnx.TensorProto.FLOAT
    ]


def is_quantized(model: onnx.ModelProto) -> bool:
    """Return whether a graph already holds quantized or half values."""
    halves = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    return any(node.op_type in QUANTIZED for node in model.graph.node) or any(
        tensor.data_type in halves for tensor in model.graph.initializer
    )


def weights_of(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Return the weight tensors of a graph by layer."""
    stored = initializers_of(model.graph)
    names = (weight_of(node, stored) for node in model.graph.node)
    return {layer_name(name): stored[name] for name in names if name is not None}


def largest_weight(tensor: onnx.TensorProto) -> float:
    """Return the largest magnitude among weights."""
    return float(abs(numpy_helper.to_array(tensor)).max(initial=0.0))


def _work(node: onnx.NodeProto, shape: tuple[int, ...], sizes: Mapping[str, int]) -> float:
    """Count the multiply-adds of a node.

    They are the weights times the positions of the output, or of the input for a transposed convolution.
    """
    transposed = node.op_type == "ConvTranspose"
    positions = sizes.get(node.input[0] if transposed else node.output[0], shape[0]) / shape[0]
    if node.op_type in ("Gemm", "MatMul"):
        positions = sizes.get(node.output[0], shape[-1]) / shape[-1]
    return math.prod(shape) * positions

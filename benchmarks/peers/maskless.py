"""Graphs with all masks removed from their `spair` operators.

Such a graph is as fast as any dense implementation could be. It computes what the operators compute where every mask is
1, with plain nodes that runtimes fuse: a sparse convolution becomes a convolution with its activation, the modulator
becomes nothing, and the non-local module becomes plain attention. The preparation of masks and clean keys outside of
the operators stays; it is a thousandth of the work.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from spair.export.operators.table import BY_NAME, DOMAIN


def remove_masks(model: onnx.ModelProto) -> None:
    """Replace the `spair` operators by plain nodes, in place.

    Raises:
        ValueError: an operator is not known.
    """
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        nodes += _without_masks(node, model.graph) if node.domain == DOMAIN else [node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    del model.functions[:]
    kept = [opset for opset in model.opset_import if opset.domain != DOMAIN]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    onnx.checker.check_model(model, full_check=True)


def fill_masks(model: onnx.ModelProto) -> None:
    """Give every `spair` operator masks of 1, in place.

    The result is the reference for `remove_masks`.
    """
    model.graph.initializer.append(numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "maskless_one"))
    for node in model.graph.node:
        if node.domain == DOMAIN:
            for index in BY_NAME[node.op_type].positions_of("mask"):
                node.input[index] = "maskless_one"


def _without_masks(node: onnx.NodeProto, graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "SparseConv2d":
        return _convolution(node, attributes)
    if node.op_type == "MaskedModulation":
        return [helper.make_node("Identity", [node.input[0]], node.output)]
    if node.op_type == "SparseNonLocal":
        return _attention(node, attributes, graph)
    raise ValueError(f"{node.op_type} has no form without masks")


def _convolution(node: onnx.NodeProto, attributes: dict[str, Any]) -> list[onnx.NodeProto]:
    x, _, weight, bias = node.input
    slope, output = attributes["negative_slope"], node.output[0]
    inner = output if slope == 1.0 else f"{output}_linear"
    convolution = helper.make_node("Conv", [x, weight, bias], [inner], pads=attributes["pads"])
    if slope == 1.0:
        return [convolution]
    if slope == 0.0:
        return [convolution, helper.make_node("Relu", [inner], [output])]
    return [convolution, helper.make_node("LeakyRelu", [inner], [output], alpha=slope)]


def _attention(node: onnx.NodeProto, attributes: dict[str, Any], graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    query, key, value = node.input[:3]
    name = node.output[0]
    flat, scale = f"{name}_flat", f"{name}_scale"
    graph.initializer.append(numpy_helper.from_array(np.array([0, 0, -1], np.int64), flat))
    graph.initializer.append(numpy_helper.from_array(np.array(attributes["scale"], np.float32), scale))

    def make(operator: str, inputs: list[str], part: str, **options: Any) -> onnx.NodeProto:
        return helper.make_node(operator, inputs, [f"{name}_{part}" if part else name], **options)

    return [
        make("Reshape", [query, flat], "q"),
        make("Transpose", [f"{name}_q"], "queries", perm=[0, 2, 1]),  # [N,P,C]
        make("Reshape", [key, flat], "keys"),  # [N,C,J]
        make("MatMul", [f"{name}_queries", f"{name}_keys"], "raw"),
        make("Mul", [f"{name}_raw", scale], "scores"),
        make("Softmax", [f"{name}_scores"], "weights", axis=-1),
        make("Reshape", [value, flat], "v"),
        make("Transpose", [f"{name}_v"], "values", perm=[0, 2, 1]),  # [N,J,D]
        make("MatMul", [f"{name}_weights", f"{name}_values"], "rows"),
        make("Transpose", [f"{name}_rows"], "found", perm=[0, 2, 1]),  # [N,D,P]
        make("Shape", [value], "channels", start=0, end=2),
        make("Shape", [query], "sides", start=2, end=4),
        make("Concat", [f"{name}_channels", f"{name}_sides"], "size", axis=0),
        make("Reshape", [f"{name}_found", f"{name}_size"], ""),
    ]

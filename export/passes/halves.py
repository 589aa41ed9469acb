"""Graph passes for half precision: a graph widened to float32 for what computes on rows, and halves kept on file.

ONNX Runtime's CPU provider has no half kernels on x86: it computes in float32 between casts that it inserts by itself.
A packed graph runs there alone, so it is float32 from the start and only stores what was half as halves.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .graph import element_types

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
SMALLEST = 16
"""Values from which on a constant is worth a Cast."""


def widen_halves(model: onnx.ModelProto) -> bool:
    """Make every half a float32, in place: casts between the two vanish, constants keep their (rounded) values.

    Requires: float32 inputs and outputs, no subgraphs.
    Ensures: no half left; results equal up to the rounding of activations to halves.

    Returns:
        Whether there was any.
    """
    graph = model.graph
    types = element_types(model)
    if TensorProto.FLOAT16 not in types.values():
        return False
    same: dict[str, str] = {}
    shown = {value.name for value in graph.output}
    kept = []
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
        target = _cast_target(node)
        if target in FLOATS and types.get(node.input[0]) in FLOATS and node.output[0] not in shown:
            same[node.output[0]] = node.input[0]
            continue
        kept.append(_widened_node(node, target, types))
    del graph.node[:]
    graph.node.extend(kept)
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            tensor.CopyFrom(_widened(tensor))
    del graph.value_info[:]
    return True


def store_halves(model: onnx.ModelProto) -> int:
    """Store float32 constants whose every value is a half as halves with a Cast behind, in place; how many.

    ONNX Runtime folds these casts when it loads the graph, so that they cost nothing at run time.
    """
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if values.size < SMALLEST or not np.array_equal(halves.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(halves, f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], name=f"{name}_widened", to=TensorProto.FLOAT))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *nodes])
    return len(casts)


def _cast_target(node: onnx.NodeProto) -> int | None:
    if node.op_type != "Cast" or node.domain:
        return None
    return next(attribute.i for attribute in node.attribute if attribute.name == "to")


def _widened_node(node: onnx.NodeProto, target: int | None, types: dict[str, int]) -> onnx.NodeProto:
    if target in FLOATS and types.get(node.input[0]) in FLOATS:  # an output of the graph keeps its name
        return helper.make_node("Identity", list(node.input), list(node.output), name=node.name)
    for attribute in node.attribute:
        if target is not None and attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
            attribute.i = TensorProto.FLOAT
        if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == TensorProto.FLOAT16:
            attribute.t.CopyFrom(_widened(attribute.t))
    return node


def _widened(tensor: onnx.TensorProto) -> onnx.TensorProto:
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)

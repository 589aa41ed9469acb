"""Passes that widen halves to float32 and store halves.

ONNX Runtime's CPU provider has no half kernels on x86. It computes in float32 between casts that it inserts by itself.
A packed graph runs on that provider alone, so it computes in float32 from the start, and only its constants are stored
as halves where they were halves before.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from .base import GraphPass, PassError, PassResult
from .graph import attribute_of, bodies_of, element_types, make_cast, make_node, output_names, replace_nodes

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
SMALLEST_ARRAY = 16
"""Number of values from which a constant is stored as halves; below it the Cast costs more than the halves save."""


class WidenHalves(GraphPass[PassResult]):
    """Pass that makes every half of a graph a float32.

    Casts between the two types vanish, and constants keep their rounded values.

    Requires: no half among the graph's inputs and outputs, and no subgraphs in a graph with halves.
    Ensures: no half in the graph; results equal up to the rounding of activations to halves.
    """

    def requires(self, model: onnx.ModelProto) -> None:
        """Raise PassError for halves outside and for subgraphs."""
        for value in (*model.graph.input, *model.graph.output):
            if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
                raise PassError(f"{value.name} is a half, expected float32 inputs and outputs")
        nested = next((node for node in model.graph.node if bodies_of(node)), None)
        if nested is not None and TensorProto.FLOAT16 in element_types(model).values():
            raise PassError(f"{nested.op_type} {nested.output[0]} has a subgraph, whose halves would stay")

    def rewrite(self, model: onnx.ModelProto) -> PassResult:
        """Widen the graph's halves, where it has any."""
        graph = model.graph
        types = element_types(model)
        if TensorProto.FLOAT16 not in types.values():
            return PassResult(False)
        same: dict[str, str] = {}
        shown = output_names(graph)
        kept = []
        for node in graph.node:
            node.input[:] = [same.get(name, name) for name in node.input]
            target = _cast_target(node)
            if target in FLOATS and types.get(node.input[0]) in FLOATS and node.output[0] not in shown:
                same[node.output[0]] = node.input[0]
                continue
            kept.append(_widened_node(node, target, types))
        replace_nodes(graph, kept)
        for tensor in graph.initializer:
            if tensor.data_type == TensorProto.FLOAT16:
                tensor.CopyFrom(_widened(tensor))
        del graph.value_info[:]
        return PassResult(True)

    def ensures(self, model: onnx.ModelProto) -> None:
        """Raise PassError for a half that is left."""
        left = [name for name, kind in element_types(model).items() if kind == TensorProto.FLOAT16]
        if left:
            raise PassError(f"{left[0]} is still a half")


class StoreHalves(GraphPass[PassResult]):
    """Pass that stores constants as halves without loss.

    The pass takes float32 constants of which every value is a half. A Cast behind each gives the float32 constant back.
    ONNX Runtime computes these casts once, when it loads the graph, so they cost nothing at run time.

    Requires: any graph.
    Ensures: the same results.
    """

    def rewrite(self, model: onnx.ModelProto) -> PassResult:
        """Store the constants of which every value is a half."""
        graph, casts = model.graph, []
        for tensor in graph.initializer:
            if tensor.data_type != TensorProto.FLOAT:
                continue
            values = numpy_helper.to_array(tensor)
            with np.errstate(over="ignore"):
                halves = values.astype(np.float16)
            if values.size < SMALLEST_ARRAY or not np.array_equal(halves.astype(np.float32), values):
                continue
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(halves, f"{name}_half"))
            casts.append(make_cast(f"{name}_half", name, TensorProto.FLOAT, f"{name}_widened"))
        replace_nodes(graph, [*casts, *graph.node])
        return PassResult(bool(casts))


def _cast_target(node: onnx.NodeProto) -> int | None:
    """Return the target type of a Cast, else None."""
    return attribute_of(node, "to") if node.op_type == "Cast" and not node.domain else None


def _widened_node(node: onnx.NodeProto, target: int | None, types: dict[str, int]) -> onnx.NodeProto:
    if target in FLOATS and types.get(node.input[0]) in FLOATS:  # an output of the graph keeps its name
        return make_node("Identity", node.input, node.output[0], node.name)
    for attribute in node.attribute:
        if target is not None and attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
            attribute.i = TensorProto.FLOAT
        if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == TensorProto.FLOAT16:
            attribute.t.CopyFrom(_widened(attribute.t))
    return node


def _widened(tensor: onnx.TensorProto) -> onnx.TensorProto:
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)

"""Graphs, their inputs and their plans for tests of the conversion."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from spair.calibration.conversion.convert import ConvertPrecision
from spair.calibration.conversion.plan import PrecisionPlan
from spair.calibration.options import Precision
from spair.calibration.variants import Variant


def open_session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """Open a graph on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def make_feeds(model: onnx.ModelProto, density: float = 0.4, seed: int = 0) -> dict[str, np.ndarray]:
    """Draw inputs for a graph on a picture of 32x32."""
    random = np.random.default_rng(seed)
    feeds = {}
    for value in model.graph.input:
        sizes = []
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            divisor = int(dim.dim_param.partition("/")[2] or 1)
            sizes.append(dim.dim_value or (1 if axis == 0 else 32 // divisor))
        feeds[value.name] = random.random(sizes, dtype=np.float32)
        if "mask" in value.name:
            feeds[value.name] = (feeds[value.name] < density).astype(np.float32)
    return feeds


def make_plan(
    network: Variant, precision: Precision, rest: Precision = "fp16", scale: float = 0.02, **more: Any
) -> PrecisionPlan:
    """Plan one precision for all layers."""
    layers = {layer.name: precision for layer in network.layers}
    scales = {use.key: float(np.float16(scale)) for layer in network.layers for use in layer.uses}
    return PrecisionPlan(layers, rest, scales, **more)


def convert_copy(
    model: onnx.ModelProto, plan: PrecisionPlan, part: str = "net_r", twin: bool = False
) -> onnx.ModelProto:
    """Convert a copy of a graph."""
    model = copy.deepcopy(model)
    ConvertPrecision(plan, part, twin=twin)(model)
    return model


def make_chain(*kinds: str) -> onnx.ModelProto:
    """Make a graph of operators between two convolutions on [1,4,64,64]."""
    weights = np.random.default_rng(0).standard_normal((4, 4, 1, 1)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["x", "first.weight"], ["t0"])]
    for index, kind in enumerate(kinds):
        nodes.append(helper.make_node(kind, [f"t{index}"], [f"t{index + 1}"]))
    nodes.append(helper.make_node("Conv", [f"t{len(kinds)}", "second.weight"], ["y"]))
    shape = [1, 4, 64, 64]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weights, f"{name}.weight") for name in ("first", "second")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)

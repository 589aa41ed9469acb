"""Models of a few nodes for tests of passes for engines, and their results on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from spair.calibration.conversion.convert import convert
from spair.calibration.conversion.plan import PrecisionPlan
from spair.export.operators.bodies import IR_VERSION, OPSET, add_function_bodies
from spair.export.operators.table import DOMAIN

Shapes = Mapping[str, Sequence[int]]


def make_plain_model(
    nodes: Sequence[onnx.NodeProto], inputs: Shapes, outputs: Shapes, stored: Mapping[str, np.ndarray] | None = None
) -> onnx.ModelProto:
    """Make a model with function bodies, whose inputs and outputs are float32."""
    given, made = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in shapes.items()]
        for shapes in (inputs, outputs)
    )
    kept = [numpy_helper.from_array(value, name) for name, value in (stored or {}).items()]
    graph = helper.make_graph(nodes, "g", given, made, kept)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    add_function_bodies(model)
    return model


def load_halves(bundle: Path) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Convert the whole network of a bundle to halves, and return it twice."""
    model, _ = convert(onnx.load(bundle / "graphs" / "fp32" / "model.onnx"), PrecisionPlan({}, "fp16"), "model")
    return model, onnx.ModelProto.FromString(model.SerializeToString())


def run(model: onnx.ModelProto, **feed: np.ndarray) -> list[np.ndarray]:
    """Run a model; its inputs become float32."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {name: value.astype(np.float32) for name, value in feed.items()})

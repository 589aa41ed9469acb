"""Synthetic bundles, whose mask is drawn in red, and sessions of ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from spair.export.packed.emit import Emitter
from tests.runtime.conftest import bundles, graphs  # noqa: F401

Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


def start(model: onnx.ModelProto) -> Run:
    """Load a served graph, and return a function from pictures to restored pictures, masks and densities."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda image: tuple(session.run(["restored", "mask", "density"], {"image": image}))


@pytest.fixture(scope="session")
def evaluate() -> Callable[..., list[np.ndarray]]:
    """Function that runs the nodes of an emitter and returns the named tensors."""

    def run(emit: Emitter, names: list[str], **feeds: np.ndarray) -> list[np.ndarray]:
        inputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), [None] * value.ndim)
            for name, value in feeds.items()
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in names]
        graph = helper.make_graph(emit.nodes, "test", inputs, outputs, emit.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return session.run(names, feeds)

    return run

"""Quantizers that sparse convolutions take over: the same results, and only where that holds."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.export.engines.graph import prepare_engine_graph
from spair.export.graphs import operator_counts
from spair.export.operators.bodies import IR_VERSION, add_function_bodies
from spair.export.operators.table import DOMAIN
from spair.export.passes.quantizers import QuantizeWhereRead
from spair.export.passes.residuals import FuseResiduals

OPSET = 19
"""Of calibrated graphs."""
C, H, W = 3, 7, 6
SCALE = float(np.float16(0.0213))
ATTRIBUTES = {"pads": [1] * 4, "negative_slope": 0.1, "clean_input": 0.0}


def quantizer(name: str, x: str = "x", scale: str = "scale", zero: str = "zero") -> onnx.NodeProto:
    return helper.make_node("QuantizeLinear", [x, scale, zero], [name], name)


def convolution(name: str, x: str, **changes) -> onnx.NodeProto:
    inputs = [x, "mask", "weight", "bias", changes.pop("x_scale", "x_scale"), "weight_scale"]
    return helper.make_node("SparseConv2dInt8", inputs, [name], name, domain=DOMAIN, **ATTRIBUTES | changes)


def make_model(nodes, dtype=np.float16, outputs=("out",), **stored) -> onnx.ModelProto:
    """A graph of one picture x; `stored` replaces initializers."""
    rng = np.random.default_rng(0)
    arrays = {
        "weight": rng.integers(-127, 128, (C, C, 3, 3)).astype(np.int8),
        "bias": rng.standard_normal(C).astype(dtype),
        "scale": np.array(SCALE, dtype),
        "x_scale": np.float32(SCALE),
        "weight_scale": np.float32([0.01, 0.02, 0.005]),
        "zero": np.int8(0),
    } | stored
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    inputs = [helper.make_tensor_value_info(name, kind, [1, c, H, W]) for name, c in (("x", C), ("mask", 1))]
    kinds = {"out": kind, "q": TensorProto.INT8}
    out = [helper.make_tensor_value_info(name, kinds[name], [1, C, H, W]) for name in outputs]
    graph = helper.make_graph(
        nodes, "g", inputs, out, [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()]
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    add_function_bodies(model)
    return model


def absorb(model: onnx.ModelProto) -> tuple[bool, onnx.ModelProto]:
    changed = onnx.ModelProto.FromString(model.SerializeToString())
    return QuantizeWhereRead()(changed).modified, changed


def run(model: onnx.ModelProto, x: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x, "mask": mask})


def make_pictures(dtype) -> tuple[np.ndarray, np.ndarray]:
    """x with values at and around half steps and beyond INT8, and NaN at clean pixels that nobody reads."""
    rng = np.random.default_rng(1)
    steps = np.where(rng.random((1, C, H, W)) < 0.4, rng.integers(-140, 140, (1, C, H, W)) + 0.5, 0)
    x = (steps * SCALE + (steps == 0) * rng.standard_normal(steps.shape)).astype(dtype)
    mask = (rng.random((1, 1, H, W)) < 0.5).astype(dtype)
    x[np.broadcast_to(mask == 0, x.shape)] = np.nan
    return x, mask


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_convolution_quantizes_to_the_same_result(dtype):
    model = make_model([quantizer("q"), convolution("out", "q")], dtype)
    changed, absorbed = absorb(model)
    assert changed
    assert [node.op_type for node in absorbed.graph.node] == ["SparseConv2dQuantize"]
    assert list(absorbed.graph.node[0].input) == ["x", "mask", "weight", "bias", "x_scale", "weight_scale"]
    assert {tensor.name for tensor in absorbed.graph.initializer} == {"weight", "bias", "x_scale", "weight_scale"}
    assert [function.name for function in absorbed.functions] == ["SparseConv2dQuantize"]
    (before,), (after,) = (run(part, *make_pictures(dtype)) for part in (model, absorbed))
    assert before.dtype == dtype and np.abs(before).max() > 0.1
    np.testing.assert_array_equal(before, after)
    assert not QuantizeWhereRead()(absorbed).modified, "nothing is left to do"


def test_one_quantizer_of_several_convolutions_with_and_without_residuals():
    nodes = [
        quantizer("q"), convolution("a", "q"), convolution("b", "q", negative_slope=0.0),
        helper.make_node("Add", ["a", "b"], ["out"], "sum"),
    ]  # fmt: skip
    model = make_model(nodes)
    assert FuseResiduals()(model).modified
    changed, absorbed = absorb(model)
    assert changed
    assert operator_counts([absorbed]) == {"SparseConv2dQuantize": 1, "SparseConv2dQuantizeAdd": 1}
    (before,), (after,) = (run(part, *make_pictures(np.float16)) for part in (model, absorbed))
    np.testing.assert_array_equal(before, after)


def test_residuals_are_fused_after_it_as_well():
    nodes = [quantizer("q"), convolution("a", "q"), quantizer("r", "a"), convolution("b", "r")]
    model = make_model([*nodes, helper.make_node("Add", ["a", "b"], ["out"], "sum")])
    changed, absorbed = absorb(model)
    assert changed and FuseResiduals()(absorbed).modified
    assert operator_counts([absorbed]) == {"SparseConv2dQuantize": 1, "SparseConv2dQuantizeAdd": 1}
    (before,), (after,) = (run(part, *make_pictures(np.float16)) for part in (model, absorbed))
    np.testing.assert_array_equal(before, after)


def dequantized(name: str, steps: str) -> onnx.NodeProto:
    return helper.make_node("DequantizeLinear", [steps, "scale", "zero"], [name], name)


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param({"x_scale": np.float32(0.5)}, id="another-scale"),
        pytest.param({"x_scale": np.float32([0.1, 0.2, 0.3])}, id="a-scale-per-channel"),
        pytest.param({"scale": np.float16(0), "x_scale": np.float32(0)}, id="a-scale-of-zero"),
        pytest.param({"scale": np.float16(512.5), "x_scale": np.float32(512.5)}, id="a-scale-whose-ends-are-no-halves"),
        pytest.param({"zero": np.int8(3)}, id="a-zero-point"),
        pytest.param({"zero": np.uint8(0)}, id="unsigned"),
        pytest.param({"bias": np.zeros(C, np.float32)}, id="x-has-another-type-than-the-rest"),
    ],
)
def test_other_quantizers_stay(stored):
    model = make_model([quantizer("q"), convolution("out", "q")], **stored)
    changed, same = absorb(model)
    assert not changed
    assert same == model


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param([dequantized("out", "q")], id="no-convolution"),
        pytest.param(
            [convolution("c", "q"), dequantized("d", "q"), helper.make_node("Add", ["c", "d"], ["out"])],
            id="another-too",
        ),
    ],
)
def test_quantizers_stay_that_others_read_at_every_pixel(nodes):
    model = make_model([quantizer("q"), *nodes])
    assert absorb(model) == (False, model)


def test_what_the_graph_returns_stays():
    model = make_model([quantizer("q"), convolution("out", "q")], outputs=("out", "q"))
    assert absorb(model) == (False, model)


def test_a_scale_that_is_computed_stays():
    nodes = [helper.make_node("Identity", ["scale"], ["s"], "s"), quantizer("q", scale="s"), convolution("out", "q")]
    assert not absorb(make_model(nodes))[0]


def test_the_pass_is_part_of_every_engines_graph(tmp_path: Path):
    nodes = [quantizer("q"), convolution("a", "q"), quantizer("r", "a"), convolution("b", "r")]
    selected = [
        helper.make_node("Greater", ["mask", "half"], ["chosen"]),
        helper.make_node("Where", ["chosen", "b", "x"], ["out"]),
    ]
    onnx.save(make_model([*nodes, *selected], half=np.float16(0.5)), tmp_path / "g.onnx")
    model = onnx.load_from_string(prepare_engine_graph(tmp_path / "g.onnx"))
    assert operator_counts([model]) == {
        "SparseConv2dQuantizeToInt8Listed": 1,
        "SparseConv2dInt8Listed": 1,
        "SparseIndex": 1,
    }
    assert "QuantizeLinear" not in {node.op_type for node in model.graph.node}
    found = [
        helper.get_attribute_value(a) for node in model.graph.node for a in node.attribute if a.name == "clear_output"
    ]
    assert found == [0, 0], "what is quantized where it is read is read under the mask"

"""Halves that become float32, and constants that become halves without loss."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.export.passes.base import PassError
from spair.export.passes.graph import element_types, make_cast
from spair.export.passes.halves import SMALLEST_ARRAY, StoreHalves, WidenHalves


def make_model(nodes, outer=TensorProto.FLOAT, **stored) -> onnx.ModelProto:
    arrays = [numpy_helper.from_array(value, name) for name, value in stored.items()]
    values = [helper.make_tensor_value_info(name, outer, [4, 4]) for name in ("x", "out")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], arrays)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]


def half_product() -> onnx.ModelProto:
    """x rounded to halves, times a constant half, back to float32."""
    nodes = [
        make_cast("x", "h", TensorProto.FLOAT16),
        helper.make_node("Mul", ["h", "weight"], ["p"]),
        make_cast("p", "out", TensorProto.FLOAT),
    ]
    weight = np.random.default_rng(0).random((4, 4)).astype(np.float16)
    return make_model(nodes, weight=weight)


def test_no_half_is_left_and_results_lose_only_the_rounding():
    model, x = half_product(), np.random.default_rng(1).random((4, 4), np.float32)
    weight = numpy_helper.to_array(model.graph.initializer[0])
    rounded = x.astype(np.float16) * weight
    assert rounded.dtype == np.float16
    assert WidenHalves()(model).modified
    assert TensorProto.FLOAT16 not in element_types(model).values()
    np.testing.assert_array_equal(run(model, x), x * weight.astype(np.float32))
    np.testing.assert_allclose(run(model, x), rounded, rtol=2**-10)  # two roundings of at most 2**-11


def test_a_graph_without_halves_stays():
    model = make_model([helper.make_node("Relu", ["x"], ["out"])])
    before = model.SerializeToString()
    assert not WidenHalves()(model).modified
    assert model.SerializeToString() == before


def test_halves_outside_and_in_subgraphs_are_refused():
    outside = make_model([helper.make_node("Relu", ["x"], ["out"])], TensorProto.FLOAT16)
    with pytest.raises(PassError, match="WidenHalves cannot take this graph: x is a half, expected float32"):
        WidenHalves()(outside)
    shape = helper.make_tensor_value_info("b", TensorProto.FLOAT16, [4, 4])
    branch = helper.make_graph([helper.make_node("Relu", ["h"], ["b"])], "branch", [], [shape])
    nodes = [
        make_cast("x", "h", TensorProto.FLOAT16),
        helper.make_node("If", ["yes"], ["chosen"], then_branch=branch, else_branch=branch),
        make_cast("chosen", "out", TensorProto.FLOAT),
    ]
    with pytest.raises(PassError, match="If chosen has a subgraph, whose halves would stay"):
        WidenHalves()(make_model(nodes, yes=np.array(True)))


def test_constants_are_stored_as_halves_only_where_no_value_changes():
    halves = np.random.default_rng(0).random((4, 4)).astype(np.float16).astype(np.float32)
    stored = {
        "exact": halves,
        "inexact": halves + np.float32(2**-20),
        "large": halves + np.float32(1e6),
        "short": halves[:1, : SMALLEST_ARRAY - 1],
    }
    nodes, last = [], "x"
    for name in stored:
        nodes.append(helper.make_node("Add", [last, name], [f"{name}_sum"]))
        last = f"{name}_sum"
    nodes[-1].output[0] = "out"
    model, x = make_model(nodes, **stored), np.ones((4, 4), np.float32)
    before = run(model, x)
    assert StoreHalves()(model).modified
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert [name for name, kind in kinds.items() if kind == TensorProto.FLOAT16] == ["exact_half"]
    np.testing.assert_array_equal(run(model, x), before)
    assert not StoreHalves()(model).modified, "nothing is left to store"

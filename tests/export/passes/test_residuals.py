"""Sums that sparse convolutions take over: the same results, also where the mask is 0, and only where that holds."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from spair.export.graphs import operator_counts
from spair.export.operators.bodies import IR_VERSION, OPSET, add_function_bodies
from spair.export.operators.table import DOMAIN
from spair.export.passes.residuals import FuseResiduals

ATTRIBUTES = {
    "pads": [1] * 4,
    "negative_slope": 1.0,
    "clean_input": 0.0,
    "plugin_version": "1",
    "plugin_namespace": DOMAIN,
}
C, H, W = 3, 6, 5


def convolution(name: str, x: str, mask: str = "mask", **changes) -> onnx.NodeProto:
    return helper.make_node(
        "SparseConv2d", [x, mask, "weight", "bias"], [name], domain=DOMAIN, **{**ATTRIBUTES, **changes}
    )


def make_model(nodes: list[onnx.NodeProto], outputs: tuple[str, ...] = ("out",)) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    weight = onnx.numpy_helper.from_array(rng.standard_normal((C, C, 3, 3)).astype(np.float32), "weight")
    bias = onnx.numpy_helper.from_array(rng.standard_normal(C).astype(np.float32), "bias")
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, c, H, W])
        for name, c in (("x", C), ("mask", 1), ("other", 1))
    ]
    out = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, C, H, W]) for name in outputs]
    graph = helper.make_graph(nodes, "g", inputs, out, [weight, bias])
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    add_function_bodies(model)
    return model


def run(model: onnx.ModelProto) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    feed = {"x": rng.standard_normal((1, C, H, W)).astype(np.float32)}
    feed |= {name: (rng.random((1, 1, H, W)) < 0.5).astype(np.float32) for name in ("mask", "other")}
    names = [value.name for value in model.graph.input]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {name: feed[name] for name in names})


def fuse(model: onnx.ModelProto) -> tuple[bool, onnx.ModelProto]:
    changed = onnx.ModelProto.FromString(model.SerializeToString())
    return FuseResiduals()(changed).modified, changed


@pytest.mark.parametrize("swapped", [False, True], ids=["x+f", "f+x"])
def test_a_residual_pair_becomes_one_operator_with_the_same_result(swapped):
    sum_of = ["second", "start"] if swapped else ["start", "second"]
    nodes = [
        convolution("start", "x"),
        convolution("first", "start", negative_slope=0.0),
        convolution("second", "first"),
    ]
    model = make_model([*nodes, helper.make_node("Add", sum_of, ["out"])])
    changed, fused = fuse(model)
    assert changed
    assert operator_counts([fused]) == {"SparseConv2d": 2, "SparseConv2dAdd": 1}
    assert [node.op_type for node in fused.graph.node] == ["SparseConv2d", "SparseConv2d", "SparseConv2dAdd"]
    for a, b in zip(run(model), run(fused), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not FuseResiduals()(fused).modified, "nothing is left to fuse"


def test_a_chain_of_pairs_keeps_its_order():
    nodes = [convolution("start", "x")]
    last = "start"
    for index in range(3):
        nodes += [convolution(f"a{index}", last, negative_slope=0.0), convolution(f"b{index}", f"a{index}")]
        nodes.append(helper.make_node("Add", [last, f"b{index}"], [f"sum{index}" if index < 2 else "out"]))
        last = f"sum{index}"
    model = make_model(nodes)
    changed, fused = fuse(model)
    assert changed
    assert operator_counts([fused]) == {"SparseConv2d": 4, "SparseConv2dAdd": 3}
    np.testing.assert_array_equal(run(model)[0], run(fused)[0])


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        pytest.param(
            [convolution("c", "x"), helper.make_node("Add", ["c", "x"], ["out"])], ("out",), id="residual-not-masked"
        ),
        pytest.param(
            [convolution("r", "x", "other"), convolution("c", "x"), helper.make_node("Add", ["c", "r"], ["out"])],
            ("out",),
            id="residual-under-another-mask",
        ),
        pytest.param(
            [
                convolution("r", "x"),
                convolution("c", "r"),
                helper.make_node("Add", ["r", "c"], ["out"]),
                helper.make_node("Relu", ["c"], ["too"]),
            ],
            ("out", "too"),
            id="used-elsewhere",
        ),
        pytest.param(
            [convolution("r", "x"), convolution("c", "r"), helper.make_node("Add", ["r", "c"], ["out"])],
            ("out", "c"),
            id="an-output-itself",
        ),
    ],
)
def test_other_sums_stay(nodes, outputs):
    model = make_model(nodes, outputs)
    changed, same = fuse(model)
    assert not changed
    assert same == model


def test_the_networks_pairs_are_fused(tiny_bundle):
    path = tiny_bundle / "graphs" / "fp32" / "model.onnx"
    model = onnx.load(path)
    changed, fused = fuse(model)
    assert changed
    assert operator_counts([fused]) == {
        "MaskedModulation": 2,
        "SparseConv2d": 13,
        "SparseConv2dAdd": 9,
        "SparseNonLocal": 1,
    }
    image = np.random.default_rng(2).random((2, 3, 21, 30), np.float32)
    sessions = [
        onnxruntime.InferenceSession(part.SerializeToString(), providers=["CPUExecutionProvider"])
        for part in (model, fused)
    ]
    (a, mask), (b, same) = (session.run(None, {"image": image}) for session in sessions)
    np.testing.assert_array_equal(mask, same)
    np.testing.assert_allclose(a, b, atol=1e-6)

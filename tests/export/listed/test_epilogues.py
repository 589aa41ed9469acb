"""Layers around sums that convolutions take over: the same results, and only where nothing else reads between them."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.export.counts.traffic import count_bytes_between
from spair.export.engines.graph import rewrite_for_plugins
from spair.export.graphs import operator_counts
from spair.export.listed.epilogues import FuseEpilogues
from spair.export.listed.lists import ListActivePixels
from spair.export.operators.bodies import IR_VERSION, OPSET, add_function_bodies
from spair.export.operators.table import DOMAIN
from spair.export.passes.residuals import FuseResiduals

SHAPES = {"up_w": (32, 3, 1, 1), "up_b": (32,), "w": (8, 3, 1, 1), "b": (8,), "last_w": (3, 8, 3, 3), "last_b": (3,)}
QUANTIZED = {"x_scale": np.float32(2.0**-5), "up_s": np.linspace(0.001, 0.01, 32, dtype=np.float32)}


def convolve(x: str, mask: str, weights: str, out: str, kernel: int = 1, integer: bool = False) -> onnx.NodeProto:
    """A sparse convolution."""
    attributes = {"pads": [kernel // 2] * 4, "negative_slope": 1.0, "clean_input": 0.0, "clear_output": 1}
    inputs = [x, mask, f"{weights}_w", f"{weights}_b"] if weights else [x, mask, "w", "b"]
    if integer:
        inputs[2:] = [f"{weights}_i", f"{weights}_b", "x_scale", f"{weights}_s"]
    name = "SparseConv2dQuantize" if integer else "SparseConv2d"
    return helper.make_node(name, inputs, [out], f"node_{out}", domain=DOMAIN, **attributes)


def make_nodes(integer: bool = False, mode: str = "CRD", of: str = "mask") -> list[onnx.NodeProto]:
    """A sum of a convolution and of a finer picture of another one, and what follows."""
    return [
        helper.make_node("MaxPool", ["mask"], ["small"], kernel_shape=[2, 2], strides=[2, 2]),
        convolve("half", "small", "up", "up", integer=integer),
        helper.make_node("DepthToSpace", ["up"], ["fine"], blocksize=2, mode=mode),
        helper.make_node("Mul", ["fine", of], ["masked"]),
        convolve("x", "mask", "", "lateral"),
        helper.make_node("Add", ["lateral", "masked"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["relu"]),
        convolve("relu", "mask", "last", "out", kernel=3),
    ]


def make_model(nodes: list[onnx.NodeProto], outputs: tuple[str, ...] = ("out",)) -> onnx.ModelProto:
    """Its graph, after the passes that come before."""
    rng = np.random.default_rng(0)
    values = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
    values |= {"up_i": rng.integers(-127, 128, SHAPES["up_w"]).astype(np.int8), **QUANTIZED}
    given = {"x": [1, 3, 6, 8], "half": [1, 3, 3, 4], "mask": [1, 1, 6, 8]}
    read = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in given.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None, 6, 8]) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in values.items() if name in read],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    add_function_bodies(model)
    FuseResiduals()(model)
    ListActivePixels()(model)
    return model


def run(model: onnx.ModelProto) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    feed = {"x": rng.standard_normal((1, 3, 6, 8)), "half": rng.standard_normal((1, 3, 3, 4))}
    feed["mask"] = rng.random((1, 1, 6, 8)) < 0.5
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {name: value.astype(np.float32) for name, value in feed.items()})


def fuse(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph after the pass, which a second time changes nothing."""
    changed = onnx.ModelProto.FromString(model.SerializeToString())
    FuseEpilogues()(changed)
    assert not FuseEpilogues()(changed).modified
    return changed


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("integer", [False, True], ids=["fp32", "int8"])
def test_no_dense_layer_is_left_around_a_sum_and_the_result_is_the_same(integer):
    model = make_model(make_nodes(integer))
    fused = fuse(model)
    assert [kind for kind in kinds(fused) if not kind.startswith("Sparse")] == ["MaxPool"]
    assert operator_counts([fused])["SparseConv2dAddUpListed"] == 1
    (expected,), (got,) = run(model), run(fused)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)  # sums of 35 in another order


def test_a_relu_alone_becomes_a_slope():
    nodes = make_nodes(mode="DCR")  # the shuffle of another framework stays
    fused = fuse(make_model(nodes))
    assert "DepthToSpace" in kinds(fused) and "Relu" not in kinds(fused)
    (node,) = (node for node in fused.graph.node if node.op_type == "SparseConv2dAddListed")
    assert [part.f for part in node.attribute if part.name == "sum_slope"] == [0.0]
    np.testing.assert_array_equal(run(fused)[0], run(make_model(nodes))[0])


@pytest.mark.parametrize("shown", ["up", "fine", "masked", "sum"])
def test_what_something_else_reads_stays(shown):
    model = make_model(make_nodes(), ("out", shown))
    assert ("DepthToSpace" in kinds(fuse(model))) == (shown != "sum")
    assert ("Relu" in kinds(fuse(model))) == (shown == "sum")
    for one, other in zip(run(fuse(model)), run(model), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_a_shuffle_of_channels_that_are_no_whole_steps_stays():
    nodes = [node for node in make_nodes() if node.op_type != "Relu"]
    narrow = {"up_w": (16, 3, 1, 1), "up_b": (16,), "w": (4, 3, 1, 1), "b": (4,), "last_w": (3, 4, 3, 3)}
    nodes[-1].input[0] = "sum"
    with pytest.MonkeyPatch.context() as patch:
        for name, shape in narrow.items():
            patch.setitem(SHAPES, name, shape)
        model = make_model(nodes)
    assert not FuseEpilogues()(model).modified


def test_the_network_has_no_dense_layer_at_full_size_between_its_convolutions(tiny_bundle):
    path = tiny_bundle / "graphs" / "fp32" / "model.onnx"
    model, plain = onnx.load(path), onnx.load(path)
    rewrite_for_plugins(model)
    assert operator_counts([model])["SparseConv2dAddUpListed"] == 2
    behind = kinds(model)[kinds(model).index("SparseConv2dListed") :]
    assert not {"Relu", "DepthToSpace", "Mul"} & set(behind)
    assert count_bytes_between(model, 1920, 1080) < count_bytes_between(plain, 1920, 1080) / 5
    image = {"image": np.random.default_rng(2).random((2, 3, 21, 30), np.float32)}
    sessions = [onnxruntime.InferenceSession(part.SerializeToString()) for part in (plain, model)]
    (a, mask), (b, same) = (session.run(None, image) for session in sessions)
    np.testing.assert_array_equal(mask, same)
    np.testing.assert_allclose(a, b, atol=1e-6)

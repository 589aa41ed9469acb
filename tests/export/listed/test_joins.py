"""Concatenations that convolutions do without: the same results, and only where one tensor has whole steps."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.export.counts.layers import list_layers
from spair.export.counts.traffic import count_bytes_between
from spair.export.engines.graph import rewrite_for_plugins
from spair.export.graphs import operator_counts
from spair.export.listed.joins import JoinChannels
from spair.export.listed.lists import ListActivePixels
from spair.export.operators.bodies import IR_VERSION, OPSET, add_function_bodies
from spair.export.operators.table import DOMAIN


def make_model(
    counts: tuple[int, ...] = (3, 8), *, integer: bool = False, axis: int = 1, shown: bool = False
) -> onnx.ModelProto:
    """A sparse convolution of tensors that are concatenated, with a list."""
    rng = np.random.default_rng(0)
    total = sum(counts)
    names = [f"x{place}" for place in range(len(counts))]
    values = {"b": rng.standard_normal(5).astype(np.float32)}
    if integer:
        values |= {"w": rng.integers(-127, 128, (5, total, 3, 3)).astype(np.int8)}
        values |= {"s": np.float32([2.0**-5]), "t": np.linspace(0.001, 0.01, 5, dtype=np.float32)}
    else:
        values["w"] = rng.standard_normal((5, total, 3, 3)).astype(np.float32)
    name, more = ("SparseConv2dQuantize", ["s", "t"]) if integer else ("SparseConv2d", [])
    attributes = {"pads": [1] * 4, "negative_slope": 0.0, "clean_input": 1.0, "clear_output": 1}
    nodes = [
        helper.make_node("Concat", names, ["x"], axis=axis),
        helper.make_node(name, ["x", "mask", "w", "b", *more], ["y"], domain=DOMAIN, **attributes),
    ]
    shape = ["n", None, "h", "w"]
    given = [helper.make_tensor_value_info(part, TensorProto.FLOAT, ["n", count, "h", "w"])
             for part, count in zip(names, counts, strict=True)]  # fmt: skip
    graph = helper.make_graph(
        nodes, "g", [*given, helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["n", 1, "h", "w"])],
        [helper.make_tensor_value_info(part, TensorProto.FLOAT, shape) for part in ["y", *["x"] * shown]],
        [numpy_helper.from_array(value, part) for part, value in values.items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    add_function_bodies(model)
    ListActivePixels()(model)
    return model


def run(model: onnx.ModelProto, counts: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(1)
    feed = {f"x{place}": rng.standard_normal((2, count, 6, 8)) for place, count in enumerate(counts)}
    feed["mask"] = rng.random((2, 1, 6, 8)) < 0.5
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["y"], {name: value.astype(np.float32) for name, value in feed.items()})[0]


@pytest.mark.parametrize("integer", [False, True], ids=["fp32", "int8"])
@pytest.mark.parametrize("counts", [(3, 8), (8, 3), (24, 11)], ids=str)
def test_a_convolution_reads_both_tensors_and_gives_the_same(counts, integer):
    before, after = make_model(counts, integer=integer), make_model(counts, integer=integer)
    assert JoinChannels()(after).modified
    assert "Concat" not in [node.op_type for node in after.graph.node]
    assert not JoinChannels()(after).modified
    (layer,) = list_layers(after)
    assert (layer.channels, layer.joined) == (sum(counts), min(counts))
    expected = run(before, counts)
    # 9 * 35 products of order 1 in another order
    np.testing.assert_allclose(run(after, counts), expected, rtol=0, atol=9 * sum(counts) * 2.0**-24 * 20)
    assert np.abs(expected).max() > 1


@pytest.mark.parametrize("counts", [(3, 5), (8, 3, 8)], ids=str)
def test_tensors_without_whole_steps_and_more_than_two_stay(counts):
    model = make_model(counts)
    before = model.SerializeToString()
    assert not JoinChannels()(model).modified
    assert model.SerializeToString() == before


def test_what_something_else_reads_is_still_made():
    model = make_model((8, 3), shown=True)
    assert JoinChannels()(model).modified
    assert "Concat" in [node.op_type for node in model.graph.node]


def test_the_network_has_no_concatenation_of_pictures(tiny_bundle):
    model = onnx.load(tiny_bundle / "graphs" / "fp32" / "model.onnx")
    rewrite_for_plugins(model)
    assert operator_counts([model])["SparseConv2dJoinListed"] == 3
    joined = {name for node in model.graph.node if "Join" in node.op_type for name in node.input}
    assert not [node for node in model.graph.node if node.op_type == "Concat" and joined & set(node.output)]
    assert count_bytes_between(model, 1920, 1080) < 0.2e9

"""Quantizers that move to the convolutions before them: the same bits, and only where one scale serves all readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from benchmarks.subjects.quantized import quantize_network
from spair.export.counts.layers import list_layers
from spair.export.engines.graph import rewrite_for_plugins
from spair.export.graphs import operator_counts
from spair.export.listed.joins import JoinChannels
from spair.export.listed.lists import ListActivePixels
from spair.export.listed.quantizers import QuantizeWhereWritten
from spair.export.operators.bodies import IR_VERSION, add_function_bodies
from spair.export.operators.table import DOMAIN, OUT_SCALE

C, H, W = 8, 6, 9
SCALE, OTHER = float(np.float16(0.0213)), float(np.float16(0.0427))


def convolve(name: str, x: str, residual: str = "", *, scale: str = "s", kind: str = "Quantize") -> onnx.NodeProto:
    """A sparse convolution that quantizes what it reads; `kind` "" multiplies floats."""
    inputs = [x, "mask", "w" if kind else "v", "bias", *[scale, "t"] * bool(kind), *[residual] * bool(residual)]
    attributes = {"pads": [1] * 4, "negative_slope": 0.0 if not residual else 1.0, "clean_input": 0.0}
    form = f"SparseConv2d{kind}{'Add' * bool(residual)}"
    return helper.make_node(form, inputs, [name], name, domain=DOMAIN, clear_output=1, **attributes)


def make_model(
    nodes: Sequence[onnx.NodeProto], dtype: type = np.float16, outputs: Sequence[str] = ("out",), **stored: np.ndarray
) -> onnx.ModelProto:
    """A graph of the nodes, of x and a mask, with lists; `stored` are further constants."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-127, 128, (C, C, 3, 3)).astype(np.int8)
    values = {
        "w": weight, "v": (weight / 500).astype(dtype), "bias": rng.standard_normal(C).astype(dtype),
        "s": np.float32([SCALE]), "o": np.float32([OTHER]), "t": np.linspace(0.001, 0.01, C, dtype=np.float32),
        "z": np.float32([0]), **stored,
    }  # fmt: skip
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    given = [helper.make_tensor_value_info(name, kind, ["n", c, "h", "w"]) for name, c in (("x", C), ("mask", 1))]
    made = [helper.make_tensor_value_info(name, kind, ["n", None, "h", "w"]) for name in outputs]
    stored = [numpy_helper.from_array(value, name) for name, value in values.items()]
    opsets = [helper.make_opsetid("", 19), helper.make_opsetid(DOMAIN, 1)]
    graph = helper.make_graph(nodes, "g", given, made, stored)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    add_function_bodies(model)
    ListActivePixels()(model)
    return model


def run(model: onnx.ModelProto, dtype: type = np.float16) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    mask = (rng.random((2, 1, H, W)) < 0.6).astype(dtype)
    x = rng.standard_normal((2, C, H, W)).astype(dtype)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x, "mask": mask})


def move(model: onnx.ModelProto, dtype: type = np.float16) -> list[str]:
    """Run the pass, hold its results to those before it, and list the forms of the convolutions."""
    before = run(model, dtype)
    assert QuantizeWhereWritten()(model).modified
    for old, new in zip(before, run(model, dtype), strict=True):
        assert old.dtype == new.dtype == dtype and np.abs(old).max() > 0.1
        np.testing.assert_array_equal(new, old)
    after = model.SerializeToString()
    assert not QuantizeWhereWritten()(model).modified
    assert model.SerializeToString() == after
    return [node.op_type.removeprefix("SparseConv2d") for node in model.graph.node if "Conv2d" in node.op_type]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("kind", ["", "Quantize"])
def test_a_convolution_writes_what_the_next_one_would_make_of_its_output(kind, dtype):
    model = make_model([convolve("y", "x", kind=kind), convolve("out", "y")], dtype)
    assert move(model, dtype) == [f"{kind}ToInt8Listed", "Int8Listed"]
    first = next(node for node in model.graph.node if "ToInt8" in node.op_type)
    assert {part.name: part.f for part in first.attribute}[OUT_SCALE] == np.float32(SCALE)
    assert {layer.gives for layer in list_layers(model)} == {"int8", "float"}


def test_what_is_summed_as_well_is_written_twice():
    nodes = [convolve("a", "x"), convolve("b", "a"), convolve("c", "b", "a"), convolve("out", "c", "c")]
    model = make_model(nodes)
    assert move(model) == ["QuantizeToBothListed", "Int8ToInt8Listed", "Int8AddToBothListed", "Int8AddListed"]
    kinds = {(layer.x, layer.gives) for layer in list_layers(model)}
    assert kinds == {("fp16", "both"), ("int8", "int8"), ("int8", "both"), ("int8", "float")}


def test_several_readers_share_the_bytes():
    nodes = [convolve("a", "x"), convolve("b", "a"), convolve("c", "a", "b"), convolve("out", "c")]
    assert move(make_model(nodes)) == ["QuantizeToInt8Listed", "Int8Listed", "Int8AddToInt8Listed", "Int8Listed"]


@pytest.mark.parametrize(
    "others",
    [
        pytest.param([convolve("d", "a", kind="")], id="a-convolution-of-floats"),
        pytest.param([helper.make_node("Relu", ["a"], ["d"])], id="another-operator"),
    ],
)
def test_others_read_numbers(others):
    model = make_model([convolve("a", "x"), convolve("out", "a"), *others], outputs=("out", "d"))
    assert move(model)[:2] == ["QuantizeToBothListed", "Int8Listed"]


def test_what_the_graph_returns_is_written_as_it_is():
    model = make_model([convolve("a", "x"), convolve("out", "a")], outputs=("out", "a"))
    assert move(model) == ["QuantizeToBothListed", "Int8Listed"]


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param([convolve("a", "x"), convolve("b", "a"), convolve("out", "a", "b", scale="o")], id="two-scales"),
        pytest.param([convolve("a", "x"), convolve("out", "a", scale="z")], id="a-scale-of-zero"),
        pytest.param([helper.make_node("Relu", ["x"], ["a"]), convolve("out", "a")], id="no-convolution-before"),
        pytest.param([convolve("a", "x"), convolve("out", "a", kind="")], id="no-quantizer"),
    ],
)
def test_other_tensors_stay(nodes):
    model = make_model(nodes)
    before = model.SerializeToString()
    assert not QuantizeWhereWritten()(model).modified
    assert model.SerializeToString() == before


def test_joined_channels_are_quantized_where_they_are_read():
    reader = convolve("out", "both")
    reader.input[2] = "w2"
    nodes = [convolve("a", "x"), helper.make_node("Concat", ["a", "x"], ["both"], axis=1), reader]
    model = make_model(nodes, w2=np.ones((C, 2 * C, 3, 3), np.int8))
    assert JoinChannels()(model).modified
    assert operator_counts([model])["SparseConv2dQuantizeJoinListed"] == 1
    assert not QuantizeWhereWritten()(model).modified


def test_all_but_three_int8_convolutions_of_the_network_read_bytes(tiny_bundle):
    """Two read modulated pictures and one reads attention: none of these is a convolution."""
    model = quantize_network(onnx.load(tiny_bundle / "graphs" / "fp32" / "model.onnx"))
    rewrite_for_plugins(model)
    counts = Counter(node.op_type.removeprefix("SparseConv2d") for node in model.graph.node if "Conv2d" in node.op_type)
    assert counts == {
        "JoinToInt8Listed": 1, "QuantizeJoinToInt8Listed": 1, "QuantizeJoinToBothListed": 1,
        "QuantizeAddToBothListed": 1, "Int8ToInt8Listed": 6, "Int8Listed": 3, "Int8AddToBothListed": 3,
        "Int8AddToInt8Listed": 2, "Int8AddListed": 1, "Int8AddUpToBothListed": 2, "Listed": 1,
    }  # fmt: skip

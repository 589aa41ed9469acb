"""Layers are read from graphs as their constants have them."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from spair.export.counts.layers import list_layers
from spair.plugins.compiler.kernels.variants import Layer


def make_graph(name: str, weight: np.ndarray, bias: np.ndarray, constant: bool = True) -> onnx.ModelProto:
    """One node of a form, whose other inputs are inputs of the graph."""
    node = helper.make_node(
        name, ["x", "mask", "w", "b", *["more"] * 3][: 7 if "Add" in name else 6], ["y"], domain="spair"
    )
    stored = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")]
    return helper.make_model(helper.make_graph([node, node], "g", [], [], stored if constant else []))


HALVES = np.zeros(19, np.float16)


@pytest.mark.parametrize(
    ("name", "kind", "bias", "types"),
    [
        ("SparseConv2d", np.float32, np.zeros(19, np.float32), ("fp32", "fp32", "fp32")),
        ("SparseConv2dAdd", np.float16, HALVES, ("fp16", "fp16", "fp16")),
        ("SparseConv2dInt8", np.int8, HALVES, ("int8", "int8", "fp16")),
        ("SparseConv2dQuantizeAdd", np.int8, HALVES, ("fp16", "int8", "fp16")),
    ],
)
def test_types_follow_from_the_form_and_its_constants(name, kind, bias, types):
    graph = make_graph(name, np.zeros((19, 11, 3, 3), kind), bias)
    assert list_layers(graph) == {Layer(*types, 3, 11, 19)}


def test_layers_that_the_plugins_refuse_or_that_are_no_constants_are_left_out():
    halves = np.zeros((19, 11, 7, 7), np.float16)
    assert list_layers(make_graph("SparseConv2d", halves, HALVES)) == frozenset()
    assert list_layers(make_graph("SparseConv2d", halves[..., :3, :3], HALVES, constant=False)) == frozenset()
    assert list_layers(make_graph("SparseConv2d", halves[..., :3, :3].astype(np.float64), HALVES)) == frozenset()


def test_other_operators_are_no_layers():
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"])
    assert list_layers(helper.make_model(helper.make_graph([node], "g", [], []))) == frozenset()


def test_a_layer_without_a_kernel_is_no_layer():
    with pytest.raises(ValueError, match="expected types of"):
        Layer("fp16", "fp32", "fp16", 3, 8, 8)
    with pytest.raises(ValueError, match="a window of"):
        Layer("fp16", "fp16", "fp16", 7, 8, 8)

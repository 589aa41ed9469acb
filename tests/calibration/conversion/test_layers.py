"""Layers of graphs: their names, their work and what they read."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.calibration.conversion.layers import (
    SIDE,
    Layer,
    element_counts,
    find_layers,
    float_tensors,
    is_quantized,
    largest_weight,
    layer_name,
    uses_of,
    weights_of,
)
from spair.export.operators.table import DOMAIN
from tests.calibration.conversion.graphs import make_chain


def test_layers_have_one_name_in_every_graph(network):
    whole = find_layers({"model": network.models["model"]})
    assert {layer.name for layer in whole} == {layer.name for layer in network.layers}
    work = {layer.name: layer.work for layer in whole}
    assert all(layer.work == work[layer.name] > 0 for layer in network.layers if layer.part == "net_l")
    assert all(use.layer == layer.name for layer in whole for use in layer.uses)
    masked = [use for layer in network.layers for use in layer.uses if use.mask]
    sparse = sum(
        node.domain == DOMAIN and node.op_type == "SparseConv2d" for node in network.models["net_r"].graph.node
    )
    assert len(masked) == sparse and {use.radius for use in masked} == {0, 1}


def make_node_graph(operator: str, weight: tuple[int, ...], x: tuple[int, ...], **attributes) -> onnx.ModelProto:
    """Make a graph of one node with weights of ones."""
    node = helper.make_node(operator, ["x", "layer.weight"], ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * len(x))],
        [numpy_helper.from_array(np.ones(weight, np.float32), "layer.weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize(
    ("operator", "weight", "x", "attributes", "work"),
    [
        ("Conv", (5, 3, 3, 3), (1, 3, 8, 6), {"pads": [1] * 4}, 5 * 3 * 9 * 8 * 6),
        ("Conv", (5, 3, 3, 3), (1, 3, 8, 6), {"pads": [1] * 4, "strides": [2, 2]}, 5 * 3 * 9 * 4 * 3),
        ("Conv", (6, 1, 3, 3), (1, 6, 8, 6), {"pads": [1] * 4, "group": 6}, 6 * 9 * 8 * 6),
        ("ConvTranspose", (3, 5, 2, 2), (1, 3, 8, 6), {"strides": [2, 2]}, 3 * 5 * 4 * 8 * 6),
        ("MatMul", (7, 4), (3, 7), {}, 3 * 7 * 4),
        ("Gemm", (7, 4), (3, 7), {}, 3 * 7 * 4),
    ],
)
def test_work_is_the_number_of_multiply_adds(operator, weight, x, attributes, work):
    (layer,) = find_layers({"model": make_node_graph(operator, weight, x, **attributes)})
    assert layer.work == work
    assert (layer.name, layer.part, layer.operator, layer.shape) == ("layer", "model", operator, weight)


def test_sizes_that_a_graph_leaves_open_are_those_of_one_small_picture():
    model = make_node_graph("Conv", (5, 3, 1, 1), (1, 3, 8, 8))
    for axis, name in enumerate(("batch", "", "height/2", "width")):
        if name:
            model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    counts = element_counts(model)
    assert counts["x"] == 3 * (SIDE // 2) * SIDE and counts["y"] == 5 * (SIDE // 2) * SIDE
    assert counts["layer.weight"] == 15
    assert model.graph.input[0].type.tensor_type.shape.dim[2].dim_param == "height/2", "the graph itself is left alone"


def test_nodes_that_share_weights_are_uses_of_one_layer():
    model = make_chain("Relu")
    model.graph.node[2].input[1] = "first.weight"
    (layer,) = find_layers({"net_r": model})
    assert [(use.key, use.node, use.source) for use in layer.uses] == [
        (("first", 0), "t0", "x"),
        (("first", 1), "y", "t1"),
    ]
    assert layer.work == 2 * 16 * 64 * 64


def test_a_node_whose_weights_are_computed_is_no_layer():
    model = make_chain()
    model.graph.node[1].input[1] = "t0"
    assert [use.layer for use in uses_of(model)] == ["first"]
    assert set(weights_of(model)) == {"first"}


@pytest.mark.parametrize(
    ("initializer", "name"),
    [("net.weight", "net"), ("model.net.weight", "net"), ("model.module.net.weight", "net"), ("w", "w")],
)
def test_a_layer_is_named_after_its_weights_without_wrappers(initializer, name):
    assert layer_name(initializer) == name


@pytest.mark.parametrize(("operator", "axes", "may"), [("ConvTranspose", 4, True), ("ConvTranspose", 3, False)])
def test_only_flat_transposed_convolutions_can_be_int8(operator, axes, may):
    assert Layer("a", "model", operator, (2,) * axes, (), 1.0).quantizable == may
    assert Layer("a", "model", "Conv", (2,) * axes, (), 1.0).quantizable


def test_float_tensors_are_those_that_nodes_make_in_order():
    assert float_tensors(make_chain("Relu", "Sigmoid")) == ["t0", "t1", "t2", "y"]
    model = make_chain("Relu")
    model.graph.node.append(helper.make_node("Shape", ["t1"], ["shape"]))
    assert float_tensors(model) == ["t0", "t1", "y"]


def test_halves_and_quantizers_make_a_graph_quantized():
    assert not is_quantized(make_chain("Relu"))
    halves = make_chain("Relu")
    halves.graph.initializer.append(numpy_helper.from_array(np.float16([1.0]), "half"))
    assert is_quantized(halves)
    quantized = make_chain("Relu")
    quantized.graph.node.append(helper.make_node("DequantizeLinear", ["t0", "scale"], ["q"]))
    assert is_quantized(quantized)


def test_the_largest_weight_has_no_sign():
    assert largest_weight(numpy_helper.from_array(np.float32([1.0, -3.0, 2.0]))) == 3.0
    assert largest_weight(numpy_helper.from_array(np.zeros((0, 3), np.float32))) == 0.0

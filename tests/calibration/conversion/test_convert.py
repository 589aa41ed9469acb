"""Graph pass that writes the precisions of a plan."""

import copy
import dataclasses

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.calibration.conversion.layers import is_quantized, uses_of
from spair.calibration.conversion.plan import PrecisionPlan
from spair.export.passes.base import PassError
from spair.export.passes.graph import element_types
from tests.calibration.conversion.graphs import convert_copy, make_feeds, make_plan, open_session

HALVES = 2.0**-11
"""Relative rounding of a half."""


@pytest.mark.parametrize("part", ["net_l", "net_r", "model"])
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_types_are_stated_and_outside_nothing_changes(network, part, precision):
    before = network.models[part]
    after = convert_copy(before, make_plan(network, precision), part)
    assert [value.name for value in after.graph.input] == [value.name for value in before.graph.input]
    assert [value.name for value in after.graph.output] == [value.name for value in before.graph.output]
    types = element_types(after)
    assert TensorProto.FLOAT16 in types.values() and is_quantized(after) and not is_quantized(before)
    for node in after.graph.node:  # strongly typed: no node mixes two float types, but for those that convert
        if node.op_type in ("Cast", "QuantizeLinear", "DequantizeLinear", "SparseConv2dInt8", "Resize"):
            continue
        floats = {types[name] for name in node.input if types.get(name) in (TensorProto.FLOAT, TensorProto.FLOAT16)}
        assert len(floats) <= 1, node.name
    for node in after.graph.node:
        if node.op_type in ("MaskedModulation", "SparseNonLocal", "Greater"):
            assert TensorProto.FLOAT16 not in {types[name] for name in node.input}, node.op_type


@pytest.mark.parametrize("density", [0.0, 0.4, 1.0])
def test_halves_are_near_and_clean_pixels_exact(network, density):
    model = network.models["net_r"]
    feeds = make_feeds(model, density)
    exact = open_session(model).run(None, feeds)[0]
    clean = np.broadcast_to(feeds["mask"] < 0.5, exact.shape)
    for twin in (False, True):
        got = open_session(convert_copy(model, make_plan(network, "fp16"), twin=twin)).run(None, feeds)[0]
        assert np.array_equal(got[clean], feeds["image"][clean])
        # 14 layers' relative roundings in quadrature, on values below 4
        assert np.abs(got - exact).max(initial=0.0) <= 4 * 14 * HALVES
        assert density == 0.0 or np.abs(got - exact).max() > 0


def test_the_twin_rounds_every_layer_of_the_typed_graph(network):
    """Check that the twin loses what a half cannot hold.

    ONNX Runtime may keep more between its casts.
    """
    model = network.models["net_l"]
    feeds = make_feeds(model)
    twin = convert_copy(model, make_plan(network, "fp16"), "net_l", twin=True)
    layers = [use.node for use in uses_of(twin)]
    assert layers and all(name.endswith("_exact") for name in layers)
    rounded = [name.removesuffix("_exact") for name in layers]
    twin.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in rounded)
    values = open_session(twin).run(rounded, feeds)
    assert all(np.array_equal(value, value.astype(np.float16).astype(np.float32)) for value in values)


def test_int8_is_the_float_graph_on_quantized_values(network):
    """Compare one layer with a graph that is quantized by hand."""
    model = network.models["net_r"]
    layer = next(layer for layer in network.layers if layer.name == "net_r.scm.0.pairs.0.first")
    use, scale = layer.uses[0], float(np.float16(0.013))
    plan = PrecisionPlan({layer.name: "int8"}, "fp32", {use.key: scale})
    got = convert_copy(model, plan)
    node = next(node for node in got.graph.node if node.op_type == "SparseConv2dInt8")
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in got.graph.initializer}
    assert stored[node.input[2]].dtype == np.int8 and float(stored[node.input[4]]) == scale

    by_hand = copy.deepcopy(model)
    weight = next(t for t in by_hand.graph.initializer if t.name.endswith("scm.0.pairs.0.first.weight"))
    values = numpy_helper.to_array(weight)
    steps = np.float16(np.abs(values).max((1, 2, 3)) / 127).astype(np.float32)[:, None, None, None]
    weight.CopyFrom(numpy_helper.from_array(np.rint(values / steps) * steps, weight.name))
    by_hand.graph.output.append(helper.make_tensor_value_info(use.source, TensorProto.FLOAT, None))
    by_hand.graph.output.append(helper.make_tensor_value_info(use.node, TensorProto.FLOAT, None))
    got.graph.output.append(helper.make_tensor_value_info(use.node, TensorProto.FLOAT, None))
    feeds = make_feeds(model)
    source = open_session(by_hand).run([use.source], feeds)[0]
    quantized = np.clip(np.rint(source / scale), -128, 127) * np.float32(scale)
    replaced = copy.deepcopy(by_hand)
    for other in replaced.graph.node:
        if other.output[0] == use.node:
            other.input[0] = "by_hand"
    replaced.graph.input.append(helper.make_tensor_value_info("by_hand", TensorProto.FLOAT, [None] * 4))
    expected = open_session(replaced).run([use.node], {**feeds, "by_hand": quantized})[0]
    np.testing.assert_allclose(open_session(got).run([use.node], feeds)[0], expected, atol=1e-5)
    assert np.abs(open_session(by_hand).run([use.node], feeds)[0] - expected).max() > 1e-4  # quantizing was no no-op


@pytest.mark.parametrize(("what", "dequantizers", "quantizers"), [("weights", 1, 0), ("activations", 1, 1)])
def test_half_a_quantization_touches_its_half_only(network, what, dequantizers, quantizers):
    layer = network.layers[-1]
    plan = PrecisionPlan({layer.name: "int8"}, "fp32", {layer.uses[0].key: 0.01}, what)
    got = convert_copy(network.models["net_r"], plan)
    kinds = [node.op_type for node in got.graph.node]
    assert kinds.count("DequantizeLinear") == dequantizers and kinds.count("QuantizeLinear") == quantizers
    assert any(tensor.data_type == TensorProto.INT8 and tensor.dims for tensor in got.graph.initializer) == (
        what == "weights"
    )


def test_one_activation_read_with_one_scale_is_quantized_once(network):
    got = convert_copy(network.models["net_r"], make_plan(network, "int8"))
    made = [node.input[0] for node in got.graph.node if node.op_type == "QuantizeLinear"]
    assert len(made) == len(set(made))
    uses = [use.source for layer in network.layers if layer.part == "net_r" for use in layer.uses]
    assert len(set(uses)) == len(made) < len(uses)


def test_names_of_the_graph_are_not_taken_again(network):
    """Convert a network whose own tensors have the names of scales."""
    model, plan = network.models["net_r"], make_plan(network, "int8")
    expected = convert_copy(model, plan)
    quantized = next(node.output[0] for node in expected.graph.node if node.op_type == "QuantizeLinear")
    scale = next(node.input[1] for node in expected.graph.node if node.op_type == "QuantizeLinear")
    ours = [tensor.name for tensor in model.graph.initializer if tensor.name.endswith("bias")][
        :2
    ]  # layers are called after weights
    taken = dict(zip(ours, (scale, quantized), strict=True))
    renamed = copy.deepcopy(model)
    for tensor in renamed.graph.initializer:
        tensor.name = taken.get(tensor.name, tensor.name)
    for node in renamed.graph.node:
        node.input[:] = [taken.get(name, name) for name in node.input]
    feeds = make_feeds(model)
    got = open_session(convert_copy(renamed, plan)).run(None, feeds)
    for mine, other in zip(got, open_session(expected).run(None, feeds), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_quantized_zeros_are_symmetric_int8(network):
    for rest in ("fp16", "fp32"):
        got = convert_copy(network.models["model"], make_plan(network, "int8", rest), "model")
        stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in got.graph.initializer}
        for node in got.graph.node:
            if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                assert (stored[node.input[1]] > 0).all()
            if node.op_type == "QuantizeLinear":
                zero = stored[node.input[2]]
                assert zero.dtype == np.int8 and zero == 0
        assert not any(t.data_type == TensorProto.INT32 and t.dims for t in got.graph.initializer)


def test_a_converted_graph_and_a_missing_scale_are_refused(network):
    plan = make_plan(network, "int8")
    with pytest.raises(PassError, match="ConvertPrecision cannot take this graph: it holds quantized or half values"):
        convert_copy(convert_copy(network.models["net_r"], plan), plan)
    scales = dict(plan.scales)
    layer, index = next(use.key for use in uses_of(network.models["net_r"]))
    del scales[layer, index]
    with pytest.raises(PassError, match=f"the plan has no scale for use {index} of the int8 layer {layer}"):
        convert_copy(network.models["net_r"], dataclasses.replace(plan, scales=scales))
    convert_copy(network.models["net_r"], dataclasses.replace(plan, scales={}, quantize="weights"))

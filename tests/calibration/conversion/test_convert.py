"""Graph pass that writes the precisions of a plan."""

import copy
import dataclasses

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.calibration.conversion.assignment import FULL, HALF, Assignment
from spair.calibration.conversion.convert import ConvertPrecision
from spair.calibration.conversion.layers import find_layers, is_quantized, uses_of
from spair.calibration.conversion.plan import PrecisionPlan
from spair.export.operators.table import DOMAIN
from spair.export.passes.base import PassError
from spair.export.passes.graph import element_types

HALVES = 2.0**-11
"""Relative rounding of a half."""


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def feeds_of(model: onnx.ModelProto, density: float = 0.4) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    feeds = {}
    for value in model.graph.input:
        sizes = []
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            divisor = int(dim.dim_param.partition("/")[2] or 1)
            sizes.append(dim.dim_value or (1 if axis == 0 else 32 // divisor))
        feeds[value.name] = random.random(sizes, dtype=np.float32)
        if "mask" in value.name:
            feeds[value.name] = (feeds[value.name] < density).astype(np.float32)
    return feeds


def plan_of(network, precision, rest="fp16", scale=0.02, **more) -> PrecisionPlan:
    layers = {layer.name: precision for layer in network.layers}
    scales = {use.key: float(np.float16(scale)) for layer in network.layers for use in layer.uses}
    return PrecisionPlan(layers, rest, scales, **more)


def converted(model: onnx.ModelProto, plan: PrecisionPlan, part: str = "net_r", twin: bool = False) -> onnx.ModelProto:
    model = copy.deepcopy(model)
    ConvertPrecision(plan, part, twin=twin)(model)
    return model


@pytest.mark.parametrize("part", ["net_l", "net_r", "model"])
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_types_are_stated_and_outside_nothing_changes(network, part, precision):
    before = network.models[part]
    after = converted(before, plan_of(network, precision), part)
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
    feeds = feeds_of(model, density)
    exact = session(model).run(None, feeds)[0]
    clean = np.broadcast_to(feeds["mask"] < 0.5, exact.shape)
    for twin in (False, True):
        got = session(converted(model, plan_of(network, "fp16"), twin=twin)).run(None, feeds)[0]
        assert np.array_equal(got[clean], feeds["image"][clean])
        # 14 layers' relative roundings in quadrature, on values below 4
        assert np.abs(got - exact).max(initial=0.0) <= 4 * 14 * HALVES
        assert density == 0.0 or np.abs(got - exact).max() > 0


def test_the_twin_rounds_every_layer_of_the_typed_graph(network):
    """Check that the twin loses what a half cannot hold.

    ONNX Runtime may keep more between its casts.
    """
    model = network.models["net_l"]
    feeds = feeds_of(model)
    twin = converted(model, plan_of(network, "fp16"), "net_l", twin=True)
    layers = [use.node for use in uses_of(twin)]
    assert layers and all(name.endswith("_exact") for name in layers)
    rounded = [name.removesuffix("_exact") for name in layers]
    twin.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in rounded)
    values = session(twin).run(rounded, feeds)
    assert all(np.array_equal(value, value.astype(np.float16).astype(np.float32)) for value in values)


def test_int8_is_the_float_graph_on_quantized_values(network):
    """Compare one layer with a graph that is quantized by hand."""
    model = network.models["net_r"]
    layer = next(layer for layer in network.layers if layer.name == "net_r.scm.0.pairs.0.first")
    use, scale = layer.uses[0], float(np.float16(0.013))
    plan = PrecisionPlan({layer.name: "int8"}, "fp32", {use.key: scale})
    got = converted(model, plan)
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
    feeds = feeds_of(model)
    source = session(by_hand).run([use.source], feeds)[0]
    quantized = np.clip(np.rint(source / scale), -128, 127) * np.float32(scale)
    replaced = copy.deepcopy(by_hand)
    for other in replaced.graph.node:
        if other.output[0] == use.node:
            other.input[0] = "by_hand"
    replaced.graph.input.append(helper.make_tensor_value_info("by_hand", TensorProto.FLOAT, [None] * 4))
    expected = session(replaced).run([use.node], {**feeds, "by_hand": quantized})[0]
    np.testing.assert_allclose(session(got).run([use.node], feeds)[0], expected, atol=1e-5)
    assert np.abs(session(by_hand).run([use.node], feeds)[0] - expected).max() > 1e-4  # quantizing was no no-op


@pytest.mark.parametrize(("what", "dequantizers", "quantizers"), [("weights", 1, 0), ("activations", 1, 1)])
def test_half_a_quantization_touches_its_half_only(network, what, dequantizers, quantizers):
    layer = network.layers[-1]
    plan = PrecisionPlan({layer.name: "int8"}, "fp32", {layer.uses[0].key: 0.01}, what)
    got = converted(network.models["net_r"], plan)
    kinds = [node.op_type for node in got.graph.node]
    assert kinds.count("DequantizeLinear") == dequantizers and kinds.count("QuantizeLinear") == quantizers
    assert any(tensor.data_type == TensorProto.INT8 and tensor.dims for tensor in got.graph.initializer) == (
        what == "weights"
    )


def test_one_activation_read_with_one_scale_is_quantized_once(network):
    got = converted(network.models["net_r"], plan_of(network, "int8"))
    made = [node.input[0] for node in got.graph.node if node.op_type == "QuantizeLinear"]
    assert len(made) == len(set(made))
    uses = [use.source for layer in network.layers if layer.part == "net_r" for use in layer.uses]
    assert len(set(uses)) == len(made) < len(uses)


def test_names_of_the_graph_are_not_taken_again(network):
    """Convert a network whose own tensors have the names of scales."""
    model, plan = network.models["net_r"], plan_of(network, "int8")
    expected = converted(model, plan)
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
    feeds = feeds_of(model)
    got = session(converted(renamed, plan)).run(None, feeds)
    for mine, other in zip(got, session(expected).run(None, feeds), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_quantized_zeros_are_symmetric_int8(network):
    for rest in ("fp16", "fp32"):
        got = converted(network.models["model"], plan_of(network, "int8", rest), "model")
        stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in got.graph.initializer}
        for node in got.graph.node:
            if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                assert (stored[node.input[1]] > 0).all()
            if node.op_type == "QuantizeLinear":
                zero = stored[node.input[2]]
                assert zero.dtype == np.int8 and zero == 0
        assert not any(t.data_type == TensorProto.INT32 and t.dims for t in got.graph.initializer)


def test_what_no_half_holds_stays_float(network):
    model, layer = network.models["net_r"], network.layers[-1]
    source = layer.uses[0].source
    full = {"net_r": frozenset({source})}
    plan = plan_of(network, "fp16", full=full)
    kinds = Assignment(model, plan, full["net_r"]).solve()
    touching = [i for i, node in enumerate(model.graph.node) if source in (*node.input, *node.output)]
    assert len(touching) >= 2 and all(kinds.nodes[i] == FULL for i in touching)
    assert HALF in kinds.nodes.values()
    assert Assignment(model, plan_of(network, "fp16")).solve().nodes[touching[-1]] == HALF


def make_chain(*kinds: str) -> onnx.ModelProto:
    """Make a graph of operators between two convolutions on [1,4,64,64]."""
    weights = np.random.default_rng(0).standard_normal((4, 4, 1, 1)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["x", "first.weight"], ["t0"])]
    for index, kind in enumerate(kinds):
        nodes.append(helper.make_node(kind, [f"t{index}"], [f"t{index + 1}"]))
    nodes.append(helper.make_node("Conv", [f"t{len(kinds)}", "second.weight"], ["y"]))
    shape = [1, 4, 64, 64]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weights, f"{name}.weight") for name in ("first", "second")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize(
    ("first", "second", "casts", "kinds"),
    [
        ("fp32", "fp32", 0, [FULL, FULL]),  # halves between two float layers would cost two casts
        ("fp16", "fp16", 2, [HALF, HALF]),
        ("fp32", "fp16", 2, None),  # one on the way, wherever, and the output's
        ("fp16", "fp32", 2, None),
    ],
)
def test_followers_go_where_the_fewest_bytes_are_cast(first, second, casts, kinds):
    model = make_chain("Relu", "Sigmoid")
    solved = Assignment(model, PrecisionPlan({"first": first, "second": second}, "fp16")).solve()
    assert solved.casts == casts
    assert kinds is None or [solved.nodes[1], solved.nodes[2]] == kinds
    got = converted(model, PrecisionPlan({"first": first, "second": second}, "fp16"))
    assert sum(node.op_type == "Cast" for node in got.graph.node) == casts


@pytest.mark.parametrize("kind", ["Softmax", "Exp", "GlobalAveragePool"])
def test_sums_and_exponentials_stay_float(kind):
    model = make_chain("Relu", kind, "Relu")
    solved = Assignment(model, PrecisionPlan({}, "fp16")).solve()
    assert solved.nodes[2] == FULL and solved.nodes[0] == solved.nodes[4] == HALF


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


def test_a_converted_graph_and_a_missing_scale_are_refused(network):
    plan = plan_of(network, "int8")
    with pytest.raises(PassError, match="ConvertPrecision cannot take this graph: it holds quantized or half values"):
        converted(converted(network.models["net_r"], plan), plan)
    scales = dict(plan.scales)
    layer, index = next(use.key for use in uses_of(network.models["net_r"]))
    del scales[layer, index]
    with pytest.raises(PassError, match=f"the plan has no scale for use {index} of the int8 layer {layer}"):
        converted(network.models["net_r"], dataclasses.replace(plan, scales=scales))
    converted(network.models["net_r"], dataclasses.replace(plan, scales={}, quantize="weights"))

"""Lists of active pixels: one for each mask, the same results, and operators that have no list are left alone."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.export.counts.layers import list_layers
from spair.export.counts.traffic import count_compactions, list_launches
from spair.export.graphs import operator_counts
from spair.export.listed.lists import ListActivePixels
from spair.export.operators.bodies import IR_VERSION, OPSET, add_function_bodies
from spair.export.operators.table import DOMAIN
from spair.export.passes.base import PassError
from spair.plugins.compiler.kernels.variants import Layer
from spair.plugins.sparse_conv2d.reference import pack_weight

ATTRIBUTES = {"pads": [1] * 4, "negative_slope": 0.1, "clean_input": 0.0, "clear_output": 1}


def convolve(x: str, out: str, mask: str = "mask", weight: str = "weight", **changes) -> onnx.NodeProto:
    """A sparse convolution."""
    attributes = {**ATTRIBUTES, **changes}
    return helper.make_node("SparseConv2d", [x, mask, weight, "bias"], [out], out, domain=DOMAIN, **attributes)


def make_model(*nodes: onnx.NodeProto, given: tuple[str, ...] = ()) -> onnx.ModelProto:
    """A graph from x and mask to the last node's output; `given` weights are inputs."""
    rng = np.random.default_rng(0)
    values = {
        "weight": rng.standard_normal((3, 3, 3, 3)), "wide": rng.standard_normal((3, 3, 5, 5)),
        "point": rng.standard_normal((3, 3, 1, 1)), "bias": rng.standard_normal(3),
    }  # fmt: skip
    stored = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()]
    inputs = [("x", [1, 3, 6, 5]), ("mask", [1, 1, 6, 5]), *((name, list(values[name].shape)) for name in given)]
    read = {name for node in nodes for name in node.input} - {*given}
    graph = helper.make_graph(
        list(nodes), "g", [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, [1, 3, None, None])],
        [tensor for tensor in stored if tensor.name in read],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    add_function_bodies(model)
    return model


def run(model: onnx.ModelProto) -> np.ndarray:
    rng = np.random.default_rng(1)
    feed = {"x": rng.standard_normal((1, 3, 6, 5)).astype(np.float32)}
    feed["mask"] = (rng.random((1, 1, 6, 5)) < 0.5).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feed)[0]


def share(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph after the pass, which a second time changes nothing."""
    changed = onnx.ModelProto.FromString(model.SerializeToString())
    assert ListActivePixels()(changed).modified
    once = changed.SerializeToString()
    assert not ListActivePixels()(changed).modified
    assert changed.SerializeToString() == once
    return changed


def test_operators_under_one_mask_share_one_list_with_the_same_result():
    model = make_model(
        convolve("x", "a", clean_input=1.0), convolve("a", "b"), convolve("b", "c", weight="point", pads=[0] * 4)
    )
    shared = share(model)
    assert [node.op_type for node in shared.graph.node] == ["SparseIndex", *["SparseConv2dListed"] * 3]
    assert {tuple(node.input[4:]) for node in shared.graph.node[1:]} == {tuple(shared.graph.node[0].output)}
    assert list_launches(shared) == ["clear", "compact_neighbours", *["clear", "sparse_conv2d"] * 3]
    np.testing.assert_array_equal(run(shared), run(model))


def test_weights_are_stored_packed_and_once():
    model = make_model(convolve("x", "a"), convolve("a", "b"))
    (weight,) = [numpy_helper.to_array(part) for part in model.graph.initializer if part.name == "weight"]
    stored = {part.name: numpy_helper.to_array(part) for part in share(model).graph.initializer}
    assert set(stored) == {"weight_packed", "bias"}
    np.testing.assert_array_equal(stored["weight_packed"], pack_weight(weight))


def test_kernels_of_layers_are_found_by_the_channels_that_packed_weights_hide():
    model = make_model(convolve("x", "a"))
    assert list_layers(share(model)) == list_layers(model) == {Layer("fp32", "fp32", "fp32", 3, 3, 3)}


def test_a_cast_mask_shares_the_list_of_the_one_it_was_cast_from():
    nodes = [
        helper.make_node("Cast", ["mask"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", ["half"], ["again"], to=TensorProto.FLOAT),
    ]
    model = make_model(convolve("x", "a"), *nodes, convolve("a", "b", mask="again"))
    shared = share(model)
    assert operator_counts([shared]) == {"SparseIndex": 1, "SparseConv2dListed": 2}
    np.testing.assert_array_equal(run(shared), run(model))


def test_a_mask_made_from_a_comparison_is_listed_as_the_float_that_it_becomes():
    nodes = [helper.make_node("Cast", ["mask"], ["is"], to=TensorProto.BOOL)]
    nodes.append(helper.make_node("Cast", ["is"], ["again"], to=TensorProto.FLOAT))
    shared = share(make_model(*nodes, convolve("x", "a", mask="again")))
    assert [list(node.input) for node in shared.graph.node if node.op_type == "SparseIndex"] == [["again"]]


def test_masks_of_other_sizes_have_lists_of_their_own():
    pool = helper.make_node("MaxPool", ["mask"], ["small"], kernel_shape=[2, 1], strides=[2, 1])
    half = helper.make_node("MaxPool", ["a"], ["b"], kernel_shape=[2, 1], strides=[2, 1])
    model = make_model(pool, convolve("x", "a"), half, convolve("b", "c", mask="small"))
    shared = share(model)
    assert count_compactions(list_launches(shared)) == 2
    np.testing.assert_array_equal(run(shared), run(model))


@pytest.mark.parametrize(
    ("node", "given"),
    [
        pytest.param(convolve("x", "a", weight="wide", pads=[2] * 4), (), id="5x5"),
        pytest.param(convolve("x", "a", dilations=[2, 2], pads=[2] * 4), (), id="dilated"),
        pytest.param(convolve("x", "a"), ("weight",), id="weights that are no constants"),
        pytest.param(convolve("x", "a"), ("bias",), id="a bias that is no constant"),
    ],
)
def test_what_has_no_list_stays_as_it_is(node, given):
    model = make_model(node, given=given)
    before = model.SerializeToString()
    assert not ListActivePixels()(model).modified
    assert model.SerializeToString() == before


def test_a_mask_that_is_listed_twice_is_refused():
    model = share(make_model(convolve("x", "a")))
    again = model.graph.node.add()
    again.CopyFrom(model.graph.node[0])
    again.output[:] = ["more", "of", "them"]
    with pytest.raises(PassError, match="the masks mask, mask are not listed once each"):
        ListActivePixels().ensures(model)


def test_the_network_launches_at_most_40_kernels_and_lists_three_masks(tiny_bundle):
    from spair.export.engines.graph import rewrite_for_plugins

    path = tiny_bundle / "graphs" / "fp32" / "model.onnx"
    model, plain = onnx.load(path), onnx.load(path)
    rewrite_for_plugins(model)
    launches = list_launches(model)
    assert len(launches) == 36 and count_compactions(launches) == 3
    image = {"image": np.random.default_rng(2).random((2, 3, 21, 30), np.float32)}
    sessions = [onnxruntime.InferenceSession(part.SerializeToString()) for part in (plain, model)]
    (a, mask), (b, same) = (session.run(None, image) for session in sessions)
    np.testing.assert_array_equal(mask, same)
    np.testing.assert_allclose(a, b, atol=1e-6)

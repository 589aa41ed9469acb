"""Launches and bytes of graphs, against a count by hand."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.export.counts.traffic import count_bytes_between, count_compactions, list_launches
from spair.export.operators.bodies import add_function_bodies
from spair.runtime.errors import UserError


def make_graph(*after: onnx.NodeProto, kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """A mask from the picture, a sparse convolution under it, and further nodes."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    constants = {"w": np.ones((4, 3, 3, 3), dtype), "b": np.ones(4, dtype), "low": np.zeros((), dtype)}
    attributes = {"pads": [1] * 4, "negative_slope": 0.0, "clean_input": 0.0}
    nodes = [
        helper.make_node("ReduceMax", ["image"], ["m"], axes=[1], keepdims=1),
        helper.make_node("Abs", ["image"], ["before"]),
        helper.make_node("SparseConv2d", ["image", "m", "w", "b"], ["y"], domain="spair", **attributes),
        *after,
    ]
    given = helper.make_tensor_value_info("image", kind, ["N", 3, "H", "W"])
    out = helper.make_tensor_value_info(nodes[-1].output[0], kind, None)
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [given], [out], stored)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("spair", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    add_function_bodies(model)
    return model


def test_every_kernel_and_memset_is_a_launch():
    launches = list_launches(make_graph(helper.make_node("Relu", ["y"], ["z"])))
    assert launches == ["pack_weight", "clear", "compact_mask", "clear", "sparse_conv2d"]
    assert count_compactions(launches) == 1


def test_an_output_that_nobody_reads_clean_is_not_cleared():
    graph = make_graph(helper.make_node("Relu", ["y"], ["z"]))
    graph.graph.node[2].attribute.append(helper.make_attribute("clear_output", 0))
    assert list_launches(graph).count("clear") == 1


def test_layers_behind_the_mask_count_what_they_read_and_write():
    graph = make_graph(helper.make_node("Relu", ["y"], ["z"]))
    assert count_bytes_between(graph, 48, 32) == 2 * 4 * 48 * 32 * 4, "Relu alone; Abs and ReduceMax come before"


def test_layers_that_make_something_of_the_picture_for_a_plugin_count_and_those_for_the_mask_do_not():
    graph = make_graph(helper.make_node("Relu", ["y"], ["z"]))
    graph.graph.node[2].input[0] = "before"
    assert count_bytes_between(graph, 48, 32) == 2 * 4 * 48 * 32 * 4 + 2 * 3 * 48 * 32 * 4, "Relu and Abs"


def test_constants_and_smaller_sizes_count_as_they_are():
    nodes = [
        helper.make_node("AveragePool", ["y"], ["half"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Max", ["half", "low"], ["z"]),
    ]
    half = 4 * 24 * 16 * 4
    assert count_bytes_between(make_graph(*nodes), 48, 32) == (4 * 48 * 32 * 4 + half) + (half + 4 + half)


def test_halves_are_two_bytes():
    graph = make_graph(helper.make_node("Neg", ["m"], ["z"]), kind=TensorProto.FLOAT16)
    assert count_bytes_between(graph, 48, 32) == 2 * 48 * 32 * 2


def test_a_size_that_does_not_follow_from_the_picture_is_refused():
    nodes = [
        helper.make_node("Pad", ["y", "pads"], ["z"]),
    ]
    graph = make_graph(*nodes)
    graph.graph.initializer.append(numpy_helper.from_array(np.array([0, 0, 0, 0, 0, 0, 1, 1]), "pads"))
    with pytest.raises(UserError, match="a size of the tensor z is .* no multiple of their sizes"):
        count_bytes_between(graph, 48, 32)

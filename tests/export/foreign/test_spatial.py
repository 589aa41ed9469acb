"""Operators that see a whole map are found in the graph, whatever axes space lies on."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.export.foreign.spatial import read_space, trace_shapes

SIZES = ((16, 24), (24, 32))


def graph(*nodes, channels=3, **constants):
    """Build a graph from image to restored of (operator, inputs, output, attributes)."""
    made = [helper.make_node(operator, inputs, [output], **more) for operator, inputs, output, more in nodes]
    stored = [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", channels, "h", "w"])
    restored = helper.make_tensor_value_info("restored", TensorProto.FLOAT, None)
    return helper.make_model(
        helper.make_graph(made, "g", [image], [restored], stored),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )


FLAT = [("Reshape", ["image", "to_flat"], "flat", {})]
FLAT_SHAPE = {"to_flat": [0, 0, -1]}
TURNED = [*FLAT, ("Transpose", ["flat"], "turned", {"perm": [0, 2, 1]})]
WHOLE = {
    "GlobalAveragePool": ([("GlobalAveragePool", ["image"], "restored", {})], {}),
    "ReduceMean": ([("ReduceMean", ["image", "axes"], "restored", {})], {"axes": [2, 3]}),
    "ReduceMax": ([("ReduceMax", ["image", "axes"], "restored", {})], {"axes": [-1]}),
    "ReduceL2": ([*FLAT, ("ReduceL2", ["flat", "axes"], "restored", {})], {**FLAT_SHAPE, "axes": [2]}),
    "ReduceSum": ([("ReduceSum", ["image"], "restored", {})], {}),
    "Softmax": ([*FLAT, ("Softmax", ["flat"], "restored", {"axis": -1})], FLAT_SHAPE),
    "InstanceNormalization": (
        [("InstanceNormalization", ["image", "one", "zero"], "restored", {})],
        {"one": np.ones(3, np.float32), "zero": np.zeros(3, np.float32)},
    ),
    "MatMul": ([*TURNED, ("MatMul", ["flat", "turned"], "restored", {})], FLAT_SHAPE),
    "Einsum": ([*FLAT, ("Einsum", ["flat", "flat"], "restored", {"equation": "ncs,nds->ncd"})], FLAT_SHAPE),
}
WINDOW = [("Reshape", ["image", "to_windows"], "windows", {})]  # of 4 pixels along each row
WINDOW_SHAPE = {"to_windows": [0, 0, -1, 4]}
LOCAL = {
    "Conv": ([("Conv", ["image", "kernel"], "restored", {})], {"kernel": np.ones((3, 3, 3, 3), np.float32)}),
    "channels": ([("ReduceMean", ["image", "axes"], "restored", {})], {"axes": [1]}),
    "normalization": (
        [*TURNED, ("LayerNormalization", ["turned", "one"], "restored", {"axis": -1})],
        {**FLAT_SHAPE, "one": np.ones(3, np.float32)},
    ),
    "window": ([*WINDOW, ("Softmax", ["windows"], "restored", {"axis": -1})], WINDOW_SHAPE),
    "mixing": (
        [*TURNED, ("MatMul", ["turned", "weight"], "restored", {})],
        {**FLAT_SHAPE, "weight": np.ones((3, 3), np.float32)},
    ),
    "sums": ([("CumSum", ["image", "axis"], "restored", {})], {"axis": 2}),  # differences of them are box filters
}


@pytest.mark.parametrize("operator", WHOLE)
def test_an_operator_that_sees_a_whole_map_is_named(operator):
    nodes, constants = WHOLE[operator]
    reason = read_space(graph(*nodes, **constants), SIZES).reason
    assert f"operator {operator} sees all of a map at once" in reason and "in a picture of 16x24" in reason


@pytest.mark.parametrize("name", LOCAL)
def test_an_operator_that_sees_few_pixels_is_left_alone(name):
    nodes, constants = LOCAL[name]
    assert read_space(graph(*nodes, **constants), SIZES).reason == ""


def test_shapes_are_those_of_a_run():
    shapes = trace_shapes(graph(*TURNED, ("Identity", ["turned"], "restored", {}), **FLAT_SHAPE), (5, 7))
    assert shapes["flat"] == (1, 3, 35) and shapes["turned"] == shapes["restored"] == (1, 35, 3)
    assert shapes["to_flat"] == (3,)


def test_memory_follows_the_tensors_that_live_at_a_time():
    chain = [("Relu", ["image"], "a", {}), ("Relu", ["a"], "b", {}), ("Relu", ["b"], "restored", {})]
    space = read_space(graph(*chain), SIZES)
    assert space.bytes_per_pixel == 1.5 * 2 * 3 * 4 and space.bytes_per_pair == 0  # two maps of three floats
    kept = read_space(graph(*chain[:2], ("Add", ["b", "image"], "restored", {})), SIZES)
    assert kept.bytes_per_pixel == 1.5 * 3 * 3 * 4


def test_memory_of_pairs_of_pixels_is_seen():
    compare = [*TURNED, ("MatMul", ["turned", "flat"], "all", {}), ("Softmax", ["all"], "restored", {"axis": 1})]
    space = read_space(graph(*compare, **FLAT_SHAPE), SIZES)
    assert space.bytes_per_pair == pytest.approx(1.5 * 2 * 4, rel=0.05)

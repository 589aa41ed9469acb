"""Readers and makers of graphs that all passes share."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.export.passes.graph import (
    attribute_of,
    drop_unused,
    element_types,
    is_pixel_shuffle,
    known_shapes,
    make_node,
    makers_of,
    readers_of,
)


def make_model(nodes, *stored: str) -> onnx.ModelProto:
    arrays = [numpy_helper.from_array(np.zeros((1, 4, 2, 2), np.float32), name) for name in stored]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4, "h", "w"]) for name in ("x", "out")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], arrays)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_readers_are_listed_once_and_makers_by_every_output():
    nodes = [make_node("Add", ["x", "x"], "a"), make_node("Add", ["a", "x"], "out")]
    graph = make_model(nodes).graph
    assert {name: [node.name for node in found] for name, found in readers_of(graph).items()} == {
        "x": ["a", "out"],
        "a": ["out"],
    }
    assert {name: node.name for name, node in makers_of(graph).items()} == {"a": "a", "out": "out"}


def test_an_absent_attribute_is_none():
    node = make_node("LeakyRelu", ["x"], "out", alpha=0.5)
    assert (attribute_of(node, "alpha"), attribute_of(node, "beta")) == (0.5, None)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"blocksize": 2, "mode": "CRD"}, True),
        ({"blocksize": 2, "mode": "DCR"}, False),
        ({"blocksize": 2}, False),
        ({"blocksize": 4, "mode": "CRD"}, False),
    ],
    ids=str,
)
def test_only_a_shuffle_by_2_in_pytorchs_order_is_a_pixel_shuffle(attributes, expected):
    assert is_pixel_shuffle(make_node("DepthToSpace", ["x"], "out", **attributes)) == expected
    assert not is_pixel_shuffle(make_node("SpaceToDepth", ["x"], "out", blocksize=2))


def test_what_only_a_subgraph_reads_is_kept_and_the_rest_is_dropped():
    shape = helper.make_tensor_value_info("b", TensorProto.FLOAT, None)
    inner = helper.make_graph([make_node("Add", ["a", "inside"], "b")], "inner", [], [shape])
    outer = helper.make_graph(
        [make_node("If", ["yes"], "b", then_branch=inner, else_branch=inner)], "outer", [], [shape]
    )
    nodes = [
        make_node("Relu", ["x"], "a"),
        make_node("Add", ["x", "unread"], "lost"),
        make_node("If", ["yes"], "out", then_branch=outer, else_branch=outer),
    ]
    graph = make_model(nodes, "inside", "unread", "yes").graph
    drop_unused(graph)
    assert [node.name for node in graph.node] == ["a", "out"]
    assert [tensor.name for tensor in graph.initializer] == ["inside", "yes"]


def test_shapes_and_types_are_inferred_with_inputs_and_constants():
    model = make_model([make_node("Add", ["x", "c"], "a"), make_node("Relu", ["a"], "out")], "c")
    shapes = known_shapes(model)
    assert (shapes["x"], shapes["c"], shapes["a"][1]) == (("n", 4, "h", "w"), (1, 4, 2, 2), 4)
    assert element_types(model) == dict.fromkeys(("x", "c", "a", "out"), TensorProto.FLOAT)

"""Which operators may leave clean pixels unwritten: those whose every reader looks at distorted pixels only."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.export.operators.bodies import IR_VERSION, OPSET, add_function_bodies
from spair.export.operators.table import DOMAIN
from spair.export.passes.unread import ATTRIBUTE, SkipUnreadPixels

SHAPES = {"x": [1, 4, 8, 8], "mask": [1, 1, 8, 8], "other": [1, 1, 8, 8], "image": [1, 4, 8, 8], "fine": [1, 1, 16, 16]}


def convolution(name: str, x: str, mask: str = "mask", clean_input: float = 0.0) -> onnx.NodeProto:
    attributes = {"pads": [1] * 4, "negative_slope": 1.0, "clean_input": clean_input}
    return helper.make_node("SparseConv2d", [x, mask, "weight", "bias"], [name], name, domain=DOMAIN, **attributes)


def node(operator: str, inputs: list[str], output: str, **attributes) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, [output], output, **attributes)


def select(name: str, mask: str = "mask", bound: str = "half") -> list[onnx.NodeProto]:
    """The end of the network: `name` where the mask exceeds a bound, else the image."""
    return [node("Greater", [mask, bound], "chosen"), node("Where", ["chosen", name, "image"], "out")]


def marks(nodes: list[onnx.NodeProto], outputs: tuple[str, ...] = ("out",)) -> dict[str, int]:
    """The attribute of each operator after the pass."""
    constants = {"weight": np.zeros((4, 4, 3, 3)), "bias": np.zeros(4), "half": np.array(0.5), "below": np.array(-0.5)}
    initializers = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in SHAPES.items()]
    out = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["a", "b", "c", "d"]) for name in outputs]
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
    graph = helper.make_graph(nodes, "g", inputs, out, initializers)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    add_function_bodies(model)
    assert SkipUnreadPixels()(model).modified, "every operator gets the attribute"
    found = {
        part.name: next(a.i for a in part.attribute if a.name == ATTRIBUTE)
        for part in model.graph.node
        if part.domain == DOMAIN
    }
    assert not SkipUnreadPixels()(model).modified, "nothing is left to do"
    return found


def test_what_is_selected_by_the_mask_is_not_read_elsewhere():
    assert marks([convolution("a", "x"), *select("a")]) == {"a": 0}


def test_marks_pass_through_elementwise_operators_and_chains():
    chain = [convolution("a", "x"), node("Relu", ["a"], "r"), convolution("b", "r"), node("Add", ["r", "b"], "s")]
    assert marks([*chain, *select("s")]) == {"a": 0, "b": 0}


def test_a_mask_in_another_type_is_the_same_mask():
    casts = [node("Cast", ["mask"], "m16", to=TensorProto.FLOAT16), node("Cast", ["m16"], "same", to=TensorProto.FLOAT)]
    chain = [convolution("a", "x"), convolution("b", "a", "same")]
    assert marks([*casts, *chain, *select("b")]) == {"a": 0, "b": 0}
    others = [node("Cast", ["other"], "m16", to=TensorProto.FLOAT16), casts[1]]
    assert marks([*others, *chain, *select("b", "same")]) == {"a": 1, "b": 0}


@pytest.mark.parametrize(
    "readers",
    [
        pytest.param([node("Identity", ["a"], "out")], id="unknown-operator"),
        pytest.param([node("Conv", ["a", "weight"], "c", pads=[1] * 4), *select("c")], id="neighbours-are-read"),
        pytest.param([convolution("b", "a", clean_input=1.0), *select("b")], id="clean-neighbours-are-read"),
        pytest.param([convolution("b", "a", "other"), *select("b", "other")], id="another-mask"),
        pytest.param(select("a", "other"), id="selected-by-another-mask"),
        pytest.param(select("a", bound="below"), id="selected-everywhere"),
        pytest.param(
            [node("Greater", ["mask", "half"], "chosen"), node("Where", ["chosen", "image", "a"], "out")],
            id="selected-where-clean",
        ),
        pytest.param([*select("a"), node("Identity", ["a"], "seen")], id="read-by-two"),
    ],
)
def test_other_readers_need_the_zeros(readers):
    assert marks([convolution("a", "x"), *readers])["a"] == 1


def test_outputs_of_the_graph_need_the_zeros():
    assert marks([convolution("a", "x"), *select("a")], ("out", "a")) == {"a": 1}


def shuffled(mask_of_blocks: str, **pool) -> list[onnx.NodeProto]:
    """A convolution at half size, shuffled to full size and selected by the mask `fine` there."""
    return [
        node("MaxPool", ["fine"], "coarse", **pool),
        node("Concat", ["fine", "fine"], "full", axis=1),
        convolution("a", "x", mask_of_blocks),
        node("DepthToSpace", ["a"], "d", blocksize=2, mode="CRD"),
        node("Mul", ["d", "fine"], "m"),
        node("Greater", ["fine", "half"], "chosen"),
        node("Where", ["chosen", "m", "full"], "out"),
    ]


def test_a_pixel_shuffle_is_read_under_the_mask_that_was_pooled():
    assert marks(shuffled("coarse", kernel_shape=[2, 2], strides=[2, 2])) == {"a": 0}


@pytest.mark.parametrize(
    ("mask", "pool"),
    [
        pytest.param("mask", {"kernel_shape": [2, 2], "strides": [2, 2]}, id="another-mask"),
        pytest.param("coarse", {"kernel_shape": [4, 4], "strides": [4, 4]}, id="other-blocks"),
    ],
)
def test_a_pixel_shuffle_under_any_other_mask_needs_the_zeros(mask, pool):
    assert marks(shuffled(mask, **pool)) == {"a": 1}


def test_the_networks_sparse_operators_are_all_read_under_their_masks(tiny_bundle):
    model = onnx.load(tiny_bundle / "graphs" / "fp32" / "model.onnx")
    assert SkipUnreadPixels()(model).modified
    found = [
        (part.op_type, attribute.i)
        for part in model.graph.node
        for attribute in part.attribute
        if attribute.name == ATTRIBUTE
    ]
    assert sorted(found) == [("SparseConv2d", 0)] * 22 + [("SparseNonLocal", 0)]

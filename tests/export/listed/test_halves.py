"""Casts around operators of full precision, which only plugins can do without."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from spair.export.listed.halves import TakeHalves
from spair.export.operators.table import DOMAIN
from spair.export.passes.graph import operator_of
from tests.export.listed.models import load_halves, make_plain_model, run


def make_model(change: str = "") -> onnx.ModelProto:
    """A modulation in FP32 between halves, in one of the ways that must stay."""
    nodes = [
        helper.make_node("Cast", ["x"], ["x_half"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", ["m"], ["m_half"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", ["x_half"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["m_half"], ["wide_m"], to=TensorProto.FLOAT),
        helper.make_node(
            "MaskedModulation",
            ["x" if change == "input" else "wide", "wide_m"],
            ["made"],
            domain=DOMAIN,
            eps=1e-5,
        ),
        helper.make_node("Cast", ["made"], ["made_half"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", ["made_half"], ["y"], to=TensorProto.FLOAT),
    ]
    if change == "reader":
        nodes.append(helper.make_node("Abs", ["made"], ["z"]))
    outputs = ["y", *["z"] * (change == "reader"), *["made"] * (change == "output")]
    inputs = {"x": [1, 3, 6, 8], "m": [1, 1, 6, 8]}
    return make_plain_model(nodes, inputs, dict.fromkeys(outputs, inputs["x"]))


def test_modulation_between_casts_takes_and_gives_the_halves():
    before, after = make_model(), make_model()
    assert TakeHalves()(after).modified
    (node,) = (node for node in after.graph.node if node.domain)
    assert (list(node.input), list(node.output)) == (["x_half", "m_half"], ["made_half"])
    assert sum(node.op_type == "Cast" for node in after.graph.node) == 3
    assert not TakeHalves()(after).modified
    rng = np.random.default_rng(0)
    feed = {"x": rng.standard_normal((1, 3, 6, 8)), "m": rng.random((1, 1, 6, 8)) < 0.5}
    np.testing.assert_array_equal(run(after, **feed)[0], run(before, **feed)[0])


@pytest.mark.parametrize("change", ["input", "reader", "output"])
def test_what_is_no_half_before_or_behind_keeps_the_casts(change):
    model = make_model(change)
    before = model.SerializeToString()
    assert not TakeHalves()(model).modified
    assert model.SerializeToString() == before


def test_a_network_in_halves_has_no_cast_beside_modulation_and_attention(tiny_bundle):
    model, plain = load_halves(tiny_bundle)
    assert TakeHalves()(model).modified
    (full,) = ({name for node in model.graph.node if _is_full(node) for name in (*node.input, *node.output)},)
    beside = [node for node in model.graph.node if node.op_type == "Cast" and full & {*node.input, *node.output}]
    assert {node.output[0].endswith("gt_1") for node in beside} == {True}, "the keys' mask alone, of 256 cells"
    image = np.random.default_rng(2).random((2, 3, 21, 30), np.float32)
    for one, other in zip(run(model, image=image), run(plain, image=image), strict=True):
        np.testing.assert_array_equal(one, other)


def _is_full(node: onnx.NodeProto) -> bool:
    operator = operator_of(node)
    return operator is not None and operator.full_precision

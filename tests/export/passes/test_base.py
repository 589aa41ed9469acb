"""Verification by the base of graph passes, on made-up passes."""

import copy
from dataclasses import dataclass

import onnx
import pytest
from onnx import TensorProto, helper

from spair.export.operators.bodies import IR_VERSION, OPSET, add_function_bodies
from spair.export.operators.table import DOMAIN
from spair.export.passes.base import GraphPass, PassError, PassResult, refusing
from spair.runtime.errors import UserError


def make_model() -> onnx.ModelProto:
    """x -> MaskedModulation -> Relu -> out."""
    nodes = [
        helper.make_node("MaskedModulation", ["x", "mask"], ["m"], "m", domain=DOMAIN, eps=1e-5),
        helper.make_node("Relu", ["m"], ["out"], "out"),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 4, 4]) for name in ("x", "mask", "out")]
    graph = helper.make_graph(nodes, "g", values[:2], values[2:])
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    add_function_bodies(model)
    return model


@dataclass(frozen=True)
class Counted(PassResult):
    count: int = 0


class MadeUp(GraphPass[Counted]):
    def __init__(self, change=lambda model: None, modified=True, needs=None, promises=None):
        self.change, self.modified, self.needs, self.promises = change, modified, needs, promises
        self.calls = []

    def requires(self, model):
        self.calls.append("requires")
        if self.needs:
            raise PassError(self.needs)

    def rewrite(self, model):
        self.calls.append("rewrite")
        self.change(model)
        return Counted(self.modified, 3)

    def ensures(self, model):
        self.calls.append("ensures")
        if self.promises:
            raise PassError(self.promises)


def test_a_pass_verifies_in_order_and_returns_its_own_report():
    made = MadeUp()
    assert made(make_model()) == Counted(True, 3)
    assert made.calls == ["requires", "rewrite", "ensures"]


def test_an_unmodified_graph_is_not_verified_again():
    made = MadeUp(modified=False, promises="never asked")
    assert not made(make_model()).modified
    assert made.calls == ["requires", "rewrite"]


def test_an_unmet_requirement_names_the_pass_and_leaves_the_graph():
    model = make_model()
    before = copy.deepcopy(model)
    made = MadeUp(change=lambda model: pytest.fail("rewritten"), needs="x has 3 dimensions, expected 4")
    with pytest.raises(PassError, match=r"^MadeUp cannot take this graph: x has 3 dimensions, expected 4$"):
        made(model)
    assert model == before


def test_a_refusal_on_the_way_names_the_pass():
    def refuse(model):
        raise PassError("out has an unknown shape")

    with pytest.raises(PassError, match="^MadeUp cannot rewrite this graph: out has an unknown shape"):
        MadeUp(refuse)(make_model())


def test_a_broken_promise_names_the_pass():
    with pytest.raises(PassError, match="^MadeUp made a wrong graph: a half is left$"):
        MadeUp(promises="a half is left")(make_model())


def lose_a_node(model):
    del model.graph.node[0]


def rename_the_output(model):
    model.graph.node[1].output[0] = model.graph.output[0].name = "other"


def change_the_type(model):
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16


def swap_the_inputs(model):
    inputs = [copy.deepcopy(value) for value in reversed(model.graph.input)]
    del model.graph.input[:]
    model.graph.input.extend(inputs)


def lose_an_input(model):
    del model.graph.node[0].input[1]


def invent_an_operator(model):
    model.graph.node[0].op_type = "SparseConv9d"


def forget_a_body(model):
    node = helper.make_node("SparseNonLocal", ["x", "x", "x", "mask", "mask"], ["n"], "n", domain=DOMAIN, scale=1.0)
    model.graph.node.insert(0, node)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lose_a_node, "it is not valid ONNX: .*"),
        (rename_the_output, "its inputs and outputs have other names, types or places than expected: other, out"),
        (change_the_type, "its inputs and outputs have other names, types or places than expected: x"),
        (swap_the_inputs, "its inputs and outputs have other names, types or places than expected: mask, x, out"),
        (lose_an_input, "MaskedModulation m has 1 inputs, expected 2: x, mask"),
        (invent_an_operator, "SparseConv9d m is not an operator of the domain spair"),
        (forget_a_body, "SparseNonLocal n has no function body, but other operators of the graph have one"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_wrong_graph_is_an_error_of_the_pass_that_made_it(change, words):
    with pytest.raises(PassError, match=f"(?s)^MadeUp made a wrong graph: {words}$"):
        MadeUp(change)(make_model())


def test_types_are_inferred_only_for_passes_that_ask_for_it():
    class Inferring(MadeUp):
        infers_types = True

    def contradict(model):
        model.graph.output[0].type.tensor_type.shape.dim[3].dim_value = 5

    MadeUp(contradict)(make_model())
    with pytest.raises(PassError, match="^Inferring made a wrong graph: it is not valid ONNX"):
        Inferring(contradict)(make_model())


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda node: node.input.pop(), "MaskedModulation m has 1 inputs, expected 2: .*"),
        (lambda node: setattr(node, "op_type", "Unheard"), "Unheard m is not an operator of the domain spair"),
    ],
    ids=["an input too few", "unknown"],
)
def test_nodes_of_ours_that_are_wrong_before_are_named_before_anything_is_rewritten(spoil, words):
    model, made = make_model(), MadeUp()
    spoil(model.graph.node[0])
    with pytest.raises(PassError, match=f"^MadeUp cannot take this graph: {words}$"):
        made(model)
    assert made.calls == []


def test_a_refusal_is_one_sentence_for_users():
    words = r"^cannot do it: x has 3 dimensions, expected 4; do another thing$"
    with pytest.raises(UserError, match=words), refusing("do it", "do another thing"):
        raise PassError("x has 3 dimensions,\n expected 4.")
    with pytest.raises(ValueError, match="^a bug$"), refusing("do it", "do another thing"):
        raise ValueError("a bug")

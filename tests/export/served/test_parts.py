"""Graphs of a bundle as pieces of one graph."""

import numpy as np
import onnx
import pytest

from spair.export.packed.emit import Emitter
from spair.export.passes.graph import bodies_of
from spair.export.served.parts import read_part
from spair.runtime import Bundle
from spair.runtime.errors import UserError


def names_of(graph):
    """All names of nodes and tensors, also inside subgraphs."""
    for node in graph.node:
        yield from (node.name, *node.input, *node.output)
        for body in bodies_of(node):
            yield from (value.name for value in (*body.input, *body.output, *body.initializer))
            yield from names_of(body)


@pytest.mark.parametrize("name", ["net_l", "net_r", "net_r_packed"])
def test_every_inner_name_begins_with_the_part_and_no_own_operator_is_left(tiny_bundle, name):
    part = read_part(Bundle.open(tiny_bundle).graph("fp32", name), "own")
    outside = {*part.inputs, *part.outputs, ""}
    assert {one for one in names_of(part.graph) if not one.startswith("own/")} <= outside
    assert all(tensor.name.startswith("own/") for tensor in part.graph.initializer)
    assert {node.domain for node in part.graph.node} == {""}


def test_a_part_stands_where_the_emitter_stands(tiny_bundle, evaluate):

    path = Bundle.open(tiny_bundle).graph("fp32", "net_l")
    emit = Emitter("test")
    first, second = read_part(path, "a"), read_part(path, "b")
    condition = emit.op("Greater", "which", emit.const(0.5, np.float32))
    result = emit.choose(
        condition,
        lambda: first.emit(emit, {"image": "picture"})["f1"],
        lambda: emit.op("Neg", second.emit(emit, {"image": "picture"})["f1"]),
        rank=4,
    )
    assert not [tensor for tensor in emit.initializers if "/" in tensor.name], "weights stay in their branch"
    picture = np.random.default_rng(1).random((1, 3, 16, 24), np.float32)
    (one,) = evaluate(emit, [result], picture=picture, which=np.asarray(1, np.float32))
    (other,) = evaluate(emit, [result], picture=picture, which=np.asarray(0, np.float32))
    np.testing.assert_array_equal(one, -other)
    assert np.abs(one).max() > 0


def test_another_type_outside_is_refused(tiny_bundle, tmp_path):
    model = onnx.load(Bundle.open(tiny_bundle).graph("fp32", "net_l"))
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(model, tmp_path / "half.onnx")
    with pytest.raises(UserError, match="takes or gives image in another type than float32"):
        read_part(tmp_path / "half.onnx", "own")

"""Weights outside a file are found wherever a file may name them."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.runtime import UserError
from spair.runtime.graphs import list_outside


def outside(name="weights.bin", **more):
    """A tensor whose values lie in another file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in {"offset": "0", "location": name, "length": "8", **more}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def graph_of(nodes=(), constants=()):
    return helper.make_graph(list(nodes), "g", [], [], list(constants))


def branch(graph):
    return helper.make_node("If", ["c"], ["y"], then_branch=graph, else_branch=graph_of())


def sparse(values):
    return onnx.SparseTensorProto(values=values, indices=numpy_helper.from_array(np.arange(2)), dims=[4])


def with_function():
    model = helper.make_model(graph_of())
    body = [helper.make_node("Constant", [], ["y"], value=outside())]
    model.functions.append(helper.make_function("own", "F", [], ["y"], body, []))
    return model


def with_sparse_initializer():
    graph = graph_of()
    graph.sparse_initializer.append(sparse(outside()))
    return helper.make_model(graph)


def with_training():
    model = helper.make_model(graph_of())
    model.training_info.add().algorithm.CopyFrom(graph_of(constants=[outside()]))
    return model


def of_node(**attributes):
    return helper.make_model(graph_of([helper.make_node("Constant", [], ["y"], **attributes)]))


MODELS = {
    "initializer": lambda: helper.make_model(graph_of(constants=[outside()])),
    "sparse initializer": with_sparse_initializer,
    "attribute": lambda: of_node(value=outside()),
    "sparse attribute": lambda: of_node(sparse_value=sparse(outside())),
    "tensors of an attribute": lambda: of_node(values=[outside(), outside()]),
    "branch": lambda: helper.make_model(graph_of([branch(graph_of(constants=[outside()]))])),
    "branch of a branch": lambda: helper.make_model(
        graph_of([branch(graph_of([branch(graph_of(constants=[outside()]))]))])
    ),
    "function": with_function,
    "training": with_training,
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_weights_in_another_file_are_found(tmp_path, make):
    path = tmp_path / "a.onnx"
    path.write_bytes(make().SerializeToString())
    assert list_outside(path) == ("weights.bin",)


def test_a_file_with_all_its_weights_names_none(tmp_path):
    word = numpy_helper.from_array(np.frombuffer(b"location", np.uint8), "location")
    onnx.save(helper.make_model(graph_of(constants=[word])), tmp_path / "a.onnx")
    assert list_outside(tmp_path / "a.onnx") == ()


def test_messages_within_messages_without_end_are_refused(tmp_path):
    inner = b"location"
    for _ in range(400):
        inner = b"\x32" + _size(len(inner)) + inner  # a graph of an attribute of a node, again and again
        inner = b"\x2a" + _size(len(inner)) + inner
        inner = b"\x0a" + _size(len(inner)) + inner
    (tmp_path / "deep.onnx").write_bytes(b"\x3a" + _size(len(inner)) + inner)
    with pytest.raises(UserError, match=r"nested more than 256 deep"):
        list_outside(tmp_path / "deep.onnx")


def _size(number):
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])

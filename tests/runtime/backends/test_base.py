"""Every backend that is available here keeps the contract of a graph."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from spair.runtime.backends.base import Backend, Graph
from spair.runtime.backends.registry import BACKENDS


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def graph(request, tmp_path) -> Graph:
    """A graph with two inputs of different types and two outputs: total = a + float(b), copy = b."""
    backend: Backend = request.param
    reason = backend.unavailable()
    if reason:
        pytest.skip(f"the backend {backend.name} is not available: {reason}")
    kinds = {"a": TensorProto.FLOAT, "b": TensorProto.INT64, "total": TensorProto.FLOAT, "copy": TensorProto.INT64}
    values = {name: helper.make_tensor_value_info(name, kind, ["N"]) for name, kind in kinds.items()}
    nodes = [
        helper.make_node("Cast", ["b"], ["float_b"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["a", "float_b"], ["total"]),
        helper.make_node("Identity", ["b"], ["copy"]),
    ]
    made = helper.make_graph(nodes, "g", [values["a"], values["b"]], [values["total"], values["copy"]])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (tmp_path / "g.onnx").write_bytes(model.SerializeToString())
    opened = backend.open_graph(tmp_path / "g.onnx", 1)
    request.addfinalizer(opened.close)
    return opened


def feeds(length):
    return {"b": np.arange(length, dtype=np.int64), "a": np.full(length, 0.5, np.float32)}


def test_inputs_have_their_types_and_outputs_their_order(graph):
    assert dict(graph.inputs) == {"a": "tensor(float)", "b": "tensor(int64)"}
    assert graph.outputs == ("total", "copy")


@pytest.mark.parametrize("length", [1, 3, 257])
def test_results_come_by_name_whatever_the_order_of_the_feeds(graph, length):
    results = graph.run(feeds(length))
    assert set(results) == {"total", "copy"}
    np.testing.assert_array_equal(results["total"], np.arange(length) + 0.5)
    np.testing.assert_array_equal(results["copy"], np.arange(length))


def test_results_are_the_callers_own(graph):
    """A second run writes to no array that the first one gave, and no run writes to its feeds."""
    given = feeds(4)
    first = graph.run(given)["total"]
    graph.run({"a": np.zeros(4, np.float32), "b": np.zeros(4, np.int64)})
    np.testing.assert_array_equal(first, [0.5, 1.5, 2.5, 3.5])
    for name, value in feeds(4).items():
        np.testing.assert_array_equal(given[name], value)


def test_a_graph_may_be_closed_twice_and_then_runs_no_more(graph):
    graph.close()
    graph.close()
    with pytest.raises(ValueError, match="closed"):
        graph.run(feeds(1))

"""Nodes that ONNX Runtime really leaves to the CPU, asked of it.

The provider that takes none of the nodes is Azure's, which the CPU package carries as well.
"""

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.runtime import UserError
from spair.runtime.backends import onnxruntime as backend
from spair.runtime.backends.placement import RECORD, list_cpu_work

OTHER = "AzureExecutionProvider"
needs_other = pytest.mark.skipif(
    OTHER not in ort.get_available_providers(), reason="this build of ONNX Runtime has the CPU's provider alone"
)
needs_record = pytest.mark.skipif(
    not hasattr(ort.InferenceSession, "get_provider_graph_assignment_info"),
    reason="ONNX Runtime tells the placement from 1.24 on",
)


@pytest.fixture
def graph(tmp_path):
    """Write a graph of some nodes from x to y."""

    def write(*operators):
        names = ["x", *(f"t{i}" for i in range(len(operators) - 1)), "y"]
        nodes = [
            helper.make_node(operator, [source, "w"] if operator == "MatMul" else [source], [target])
            for operator, source, target in zip(operators, names, names[1:], strict=False)
        ]
        kind = TensorProto.INT64 if operators[-1] == "Shape" else TensorProto.FLOAT
        weight = numpy_helper.from_array(np.eye(3, dtype=np.float32), "w")
        made = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
            [helper.make_tensor_value_info("y", kind, None)],
            [weight] if "MatMul" in operators else [],
        )
        path = tmp_path / "graph.onnx"
        path.write_bytes(
            helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()
        )
        return path

    return write


def open_session(path, **entries):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    for key, value in {RECORD: "1", **entries}.items():
        options.add_session_config_entry(key, value)
    return ort.InferenceSession(str(path), options, providers=[OTHER])


@needs_other
@needs_record
def test_work_on_the_cpu_is_counted_and_other_nodes_are_not(graph):
    assert list_cpu_work(open_session(graph("MatMul", "Relu", "MatMul"))) == {"MatMul": 2}
    assert list_cpu_work(open_session(graph("Relu", "Shape"))) == {}


@needs_other
@pytest.mark.parametrize("operator", ["Shape", "MatMul"])
def test_onnxruntimes_own_option_refuses_shapes_as_well(graph, operator):
    with pytest.raises(Exception, match="nodes that are assigned to the default CPU EP"):
        open_session(graph(operator), **{"session.disable_cpu_ep_fallback": "1"})


@needs_other
@needs_record
def test_a_graph_whose_work_falls_to_the_cpu_is_refused_though_its_provider_is_there(graph, monkeypatch):
    monkeypatch.setitem(backend._PROVIDERS, "cuda", OTHER)
    path = graph("MatMul", "Relu", "MatMul")
    assert OTHER in open_session(path).get_providers(), "the provider itself is used"
    with pytest.raises(UserError, match=f"on cuda: {OTHER} leaves 2 MatMul to the CPU; .*use the CPU for all of it"):
        backend.OnnxGraph(path, device="cuda")
    with backend.OnnxGraph(graph("Relu", "Shape"), device="cuda") as shapes:
        assert shapes.outputs == ("y",)


def test_a_version_that_does_not_tell_the_placement_is_taken_at_its_word():
    assert list_cpu_work(object()) == {}

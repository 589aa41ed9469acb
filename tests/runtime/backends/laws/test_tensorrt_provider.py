"""Why graphs with sparse operators cannot be given to ONNX Runtime's TensorRT provider, asked of ONNX Runtime."""

import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from spair.runtime.backends.placement import RECORD

OTHER = "AzureExecutionProvider"
needs_other = pytest.mark.skipif(
    OTHER not in ort.get_available_providers()
    or not hasattr(ort.InferenceSession, "get_provider_graph_assignment_info"),
    reason="needs the placement that ONNX Runtime tells from 1.24 on, and a provider beside the CPU's",
)


def make_model(domain, *, body):
    """A node of a domain, with its definition or without."""
    names = {"plugin_namespace": "spair", "plugin_version": "1"}
    node = helper.make_node("MaskedModulation", ["x"], ["y"], domain=domain, **names)
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3]) for name in ("x", "y")]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(domain, 1)]
    function = helper.make_function(
        domain, node.op_type, ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])], opsets[:1], list(names)
    )
    graph = helper.make_graph([node], "g", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=[function] if body else [])
    return model.SerializeToString()


def open_session(model, providers):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry(RECORD, "1")
    return ort.InferenceSession(model, options, providers=providers)


@needs_other
def test_definitions_are_inlined_before_nodes_are_placed():
    groups = open_session(make_model("spair", body=True), [OTHER]).get_provider_graph_assignment_info()
    placed = [(node.domain, node.op_type) for group in groups for node in group.get_nodes()]
    assert placed == [("", "Relu")], "no node is left that a plugin could compute"


@pytest.mark.parametrize("domain", ["spair", "trt.plugins"])
def test_without_definitions_a_graph_is_not_even_loaded_where_the_provider_is_not(domain):
    with pytest.raises(Exception, match=f"{domain}:MaskedModulation.* is not a registered function/op"):
        open_session(make_model(domain, body=False), ["CPUExecutionProvider"])

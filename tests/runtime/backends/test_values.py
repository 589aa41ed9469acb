"""Inner values become outputs without a package that reads ONNX."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from spair.runtime.backends.onnxruntime import OnnxGraph
from spair.runtime.backends.values import expose_values

LONG = "a name of more than a hundred and twenty-seven letters " * 4


@pytest.fixture
def model():
    nodes = [
        helper.make_node("Add", ["x", "x"], [LONG]),
        helper.make_node("Mul", [LONG, LONG], ["inner"]),
        helper.make_node("Neg", ["inner"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    made = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y]), opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    return made.SerializeToString()


def test_values_are_added_behind_the_outputs(model, tmp_path):
    (tmp_path / "g.onnx").write_bytes(expose_values(model, ["inner", LONG]))
    with OnnxGraph(tmp_path / "g.onnx", threads=1) as graph:
        assert graph.outputs == ("y", "inner", LONG)
        found = graph.run({"x": np.array([1.0, 2.0], np.float32)})
    np.testing.assert_array_equal(found[LONG], [2, 4])
    np.testing.assert_array_equal(found["inner"], [4, 16])
    np.testing.assert_array_equal(found["y"], [-4, -16])


def test_onnx_reads_the_same(model):
    names = [value.name for value in onnx.load_from_string(expose_values(model, ["inner"])).graph.output]
    assert names == ["y", "inner"]


def test_no_value_changes_nothing(model):
    assert onnx.load_from_string(expose_values(model, [])) == onnx.load_from_string(model)

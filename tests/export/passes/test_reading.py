"""Damaged ONNX files are refused in a sentence, whatever the decoder says."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.export.passes.reading import read_model
from spair.runtime import UserError


@pytest.fixture
def file(tmp_path):
    weight = numpy_helper.from_array(np.ones(500, np.float32), "w")
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [500]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", value[:1], value[1:], [weight])
    path = tmp_path / "a.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def test_a_good_file_is_read(file):
    assert read_model(file).graph.node[0].op_type == "Add"


@pytest.mark.parametrize("damage", [lambda data: data[:50], lambda data: b"\xff" * 90, lambda data: b""])
def test_a_damaged_file_is_named(file, damage):
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UserError, match=r"the graph .*a\.onnx (cannot be read: .|has no nodes)") as caught:
        read_model(file)
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_there_are_told(file):
    model = onnx.load(file)
    onnx.save(model, file, save_as_external_data=True, location="weights", size_threshold=0)
    (file.parent / "weights").unlink()
    with pytest.raises(UserError, match="cannot be read: .*weights"):
        read_model(file)
    with pytest.raises(UserError, match="cannot be read: "):
        read_model(file.parent / "absent.onnx")

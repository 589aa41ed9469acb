"""What is written is what the package onnx writes."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from spair.runtime.graphs.wire import read_fields, to_signed
from spair.runtime.graphs.writing import write_constant, write_field, write_node


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, (1 << 63) - 1, -1, -(1 << 63)])
def test_numbers_are_read_back(number):
    ((field, value),) = read_fields(memoryview(write_field(20, number)))
    assert field == 20 and isinstance(value, int) and to_signed(value) == number


@pytest.mark.parametrize("size", [0, 1, 127, 128, 20_000])
def test_bytes_are_read_back(size):
    ((field, value),) = read_fields(memoryview(write_field(3, b"x" * size)))
    assert field == 3 and value == b"x" * size


def test_a_node_has_its_attributes():
    attributes = {"alpha": 0.25, "group": 9, "strides": (2, 2), "pads": (0, 0, -1, 300)}
    written = onnx.NodeProto.FromString(write_node("Conv", ["x", "", "bias"], "y", "layer 3", attributes))
    expected = helper.make_node("Conv", ["x", "", "bias"], ["y"], name="layer 3")
    expected.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    assert written == expected


def test_an_attribute_of_another_kind_is_refused():
    with pytest.raises(TypeError, match="the attribute mode is 'CRD', expected a number"):
        write_node("DepthToSpace", ["x"], "y", "y", {"mode": "CRD"})


@pytest.mark.parametrize("shape", [(), (1,), (3, 1, 2)])
def test_a_constant_has_its_values_in_order(shape):
    values = np.random.default_rng(0).standard_normal((*shape, 2), np.float32)[..., 0]  # not contiguous
    written = onnx.TensorProto.FromString(write_constant("kernel", values))
    onnx.checker.check_tensor(written)
    assert written.name == "kernel"
    np.testing.assert_array_equal(numpy_helper.to_array(written), values)

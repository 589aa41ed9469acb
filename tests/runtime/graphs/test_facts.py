"""Facts of ONNX files are those that the package onnx finds."""

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from spair.runtime import Bundle, UserError
from spair.runtime.graphs import read_graph
from spair.runtime.graphs.facts import ELEMENTS, SMALL


def size_of(size):
    return size.dim_value if size.HasField("dim_value") else size.dim_param


def types(values):
    """Name -> element type and sizes, as the package onnx reads them."""
    return {
        value.name: (
            value.type.tensor_type.elem_type,
            tuple(map(size_of, value.type.tensor_type.shape.dim)),
        )
        for value in values
    }  # fmt: skip


@pytest.mark.parametrize("part", ["model", "net_l", "net_r", "net_r_packed"])
def test_an_exported_graph_is_read_as_the_package_reads_it(tiny_bundle, part):
    path = Bundle.open(tiny_bundle).graph("fp32", part)
    found, truth = read_graph(path), onnx.load(path).graph
    for ours, theirs in ((found.inputs, truth.input), (found.outputs, truth.output)):
        assert {name: (tensor.element, tensor.shape) for name, tensor in ours.items()} == types(theirs)
    assert [(n.operator, n.domain, n.inputs, n.outputs) for n in found.nodes] == [
        (n.op_type, n.domain, tuple(n.input), tuple(n.output)) for n in truth.node
    ]
    constants = {tensor.name: tensor for tensor in truth.initializer}
    assert {name: (t.element, t.shape) for name, t in found.constants.items()} == {
        name: (t.data_type, tuple(t.dims)) for name, t in constants.items()
    }
    for name, tensor in found.constants.items():
        values = numpy_helper.to_array(constants[name]).ravel()
        small = values.size <= SMALL and tensor.element in (TensorProto.FLOAT, TensorProto.INT64)
        assert tensor.values == (tuple(values.tolist()) if small else ())


def test_attributes_are_read_but_for_tensors_and_graphs(tmp_path):
    given = {
        "i": -3,
        "f": 0.25,
        "s": "text",
        "ints": [1, -2],
        "t": numpy_helper.from_array(onnx.numpy_helper.np.zeros(1)),
    }
    graph = helper.make_graph([helper.make_node("Any", ["x"], ["y"], **given)], "g", [], [])
    onnx.save(helper.make_model(graph), tmp_path / "a.onnx")
    (node,) = read_graph(tmp_path / "a.onnx").nodes
    assert dict(node.attributes) == {"i": -3, "f": 0.25, "s": "text", "ints": (1, -2)}


def test_every_element_type_has_a_name():
    names = {value: name for name, value in TensorProto.DataType.items() if name != "UNDEFINED"}
    aliases = {"float32": "float", "float64": "double"}
    known = {value: aliases.get(name, name) for value, name in ELEMENTS.items()}
    assert {value: name.lower() for value, name in names.items() if value in known} == known
    assert set(known) >= {value for value in names if value <= 24}


@pytest.mark.parametrize("content", [b"no graph", b"\x3a\x05ab", b"\x3a\x02\x0b\x00"])
def test_a_file_that_is_no_graph_is_refused_in_a_sentence(tmp_path, content):
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.onnx is no ONNX file: .*; export it again"):
        read_graph(tmp_path / "x.onnx")


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 4000), byte=st.integers(0, 255))
def test_a_damaged_graph_is_read_or_refused(graphs, tmp_path_factory, place, byte):
    damaged = bytearray(graphs[0])
    damaged[place % len(damaged)] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(damaged)
    try:
        read_graph(path)
    except UserError as error:
        assert "no ONNX file" in str(error)

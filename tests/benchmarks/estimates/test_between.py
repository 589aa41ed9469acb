"""Launches between the operators are those of the graph, and their bytes those of its tensors."""

import copy

import pytest
from onnx import TensorProto, helper

from benchmarks.estimates import h100
from benchmarks.estimates.between import list_between, list_masking
from benchmarks.estimates.launches import ScaledMasks
from benchmarks.subjects.layers import Modulation, SparseLayer, rewrite


def test_nodes_that_move_the_picture_are_launches():
    nodes = [
        helper.make_node("Shape", ["image"], ["shape"]),
        helper.make_node("Relu", ["image"], ["a"]),
        helper.make_node("Transpose", ["a"], ["b"], perm=[0, 1, 3, 2]),
        helper.make_node("Cast", ["b"], ["c"], to=TensorProto.FLOAT16),
    ]
    shape = [1, 3, "height", "width"]
    image, out = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image", "c"))
    out.type.tensor_type.elem_type = TensorProto.FLOAT16
    graph = helper.make_graph(nodes, "g", [image], [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    pixels = 128 * 64 * 3
    assert [(launch.name, launch.read, launch.written) for launch in list_between(model, (128, 64))] == [
        ("Relu", 4 * pixels, 4 * pixels),
        ("Cast", 4 * pixels, 2 * pixels),
    ]


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)], ids=str)
def test_the_network_that_ran_has_the_launches_of_its_graph(graph, size):
    launches = list_between(rewrite(copy.deepcopy(graph), listed=False), size)
    assert (len(launches), sum(launch.bytes for launch in launches)) == h100.find_between("fp32", size)


def test_masks_activations_and_residuals_are_passes_of_dense_layers():
    masks = ScaledMasks("blob", 96, 128, 0.5, 16)
    layer = SparseLayer(0, 10, 20, 3, clean_input=False, residual=True, clear_output=True)
    passes = list(list_masking([layer], masks, "fp16"))
    assert [launch.name for launch in passes] == [
        "mask x", "mask residual", "add residual", "activation", "mask output",
    ]  # fmt: skip
    pixels = 96 * 128 * 2
    assert [launch.bytes for launch in passes] == [2 * 10 * pixels, *(times * 20 * pixels for times in (2, 3, 2, 2))]
    assert len({launch.bytes for launch in list_masking([Modulation(1, 8)], masks, "fp32")}) == 1

"""The pass that moves the conversion from and to bytes into the graph."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from spair.export.passes.base import PassError
from spair.export.passes.pixels import TakePixels

FACTORS = {"two": 2.0, "tenth": 0.1}


def make_model(kind: int = TensorProto.FLOAT, rank: int = 4) -> onnx.ModelProto:
    """Twice the picture less a tenth, which leaves 0..1 on both sides, and whether red is above a half."""
    constants = [helper.make_tensor("first", TensorProto.INT64, [1], [0])]
    constants += [helper.make_tensor(name, kind, [], [value]) for name, value in (("half", 0.5), *FACTORS.items())]
    nodes = [
        helper.make_node("Mul", ["image", "two"], ["twice"], "twice"),
        helper.make_node("Sub", ["twice", "tenth"], ["restored"], "restored"),
        helper.make_node("Gather", ["image", "first"], ["red"], "red", axis=1),
        helper.make_node("Greater", ["red", "half"], ["above"], "above"),
        helper.make_node("Cast", ["above"], ["mask"], "mask", to=kind),
    ]
    shape = ["batch", 3, "height", "width"][:rank]
    graph = helper.make_graph(
        nodes,
        "twice",
        [helper.make_tensor_value_info("image", kind, shape)],
        [
            helper.make_tensor_value_info("restored", kind, shape),
            helper.make_tensor_value_info("mask", kind, ["batch", 1, "height", "width"][:rank]),
        ],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def scale_by(model: onnx.ModelProto, factor: float) -> None:
    """Multiply by another factor than two, and take nothing off."""
    for tensor in model.graph.initializer:
        if tensor.name in FACTORS:
            value = factor if tensor.name == "two" else 0.0
            tensor.CopyFrom(helper.make_tensor(tensor.name, TensorProto.FLOAT, [], [value]))


def run(model: onnx.ModelProto, image: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip(("restored", "mask"), session.run(["restored", "mask"], {"image": image}), strict=True))


@pytest.mark.parametrize("size", [(1, 1), (3, 8), (17, 5)], ids=str)
def test_bytes_give_what_values_gave(size):
    model = make_model()
    assert TakePixels()(model).modified
    pixels = np.random.default_rng(0).integers(0, 256, (2, *size, 3)).astype(np.uint8)
    found = run(model, pixels)
    values = np.ascontiguousarray(np.moveaxis(pixels, 3, 1)).astype(np.float32) / np.float32(255)
    expected = run(make_model(), values)
    assert (found["restored"].shape, found["restored"].dtype) == ((2, *size, 3), np.uint8)
    assert (found["mask"].shape, found["mask"].dtype) == ((2, *size), np.uint8)
    wanted = np.rint(np.clip(expected["restored"] * np.float32(255), 0, 255)).astype(np.uint8)
    np.testing.assert_array_equal(found["restored"], np.moveaxis(wanted, 1, 3))
    np.testing.assert_array_equal(found["mask"], expected["mask"][:, 0].astype(np.uint8))


@pytest.mark.parametrize(("value", "finite"), [(2.0, True), (np.nan, False), (np.inf, False), (-np.inf, False)])
def test_the_total_of_each_picture_says_whether_its_values_are_finite(value, finite):
    model = make_model()
    TakePixels()(model)
    scale_by(model, value)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    pixels = np.zeros((2, 5, 7, 3), np.uint8)
    pixels[1, 2, 3, 1] = 51
    (total,) = session.run(["total"], {"image": pixels})
    assert (total.shape, total.dtype) == ((2,), np.float32)
    assert np.isfinite(total[1]) == finite
    if finite:
        np.testing.assert_allclose(total, [0.0, 0.4], rtol=1e-6)


def test_every_byte_comes_back_from_a_network_that_changes_nothing():
    model = make_model()
    scale_by(model, 1.0)
    TakePixels()(model)
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    np.testing.assert_array_equal(run(model, pixels)["restored"], pixels)


def test_a_half_goes_to_the_even_byte_and_excess_is_cut():
    model = make_model()
    scale_by(model, 0.5)
    TakePixels()(model)
    pixels = np.asarray([[[[1, 3, 5]]]], np.uint8)  # 0.5, 1.5 and 2.5 after the network
    halves = run(model, pixels)["restored"][0, 0, 0]
    assert list(halves) == [0, 2, 2]
    doubled = make_model()
    TakePixels()(doubled)
    extremes = run(doubled, np.asarray([[[[0, 128, 255]]]], np.uint8))["restored"][0, 0, 0]
    assert (extremes[0], extremes[2]) == (0, 255), "below 0 and above 1 are limited, and do not wrap around"


def test_a_second_call_changes_nothing():
    model = make_model()
    TakePixels()(model)
    before = model.SerializeToString(deterministic=True)
    assert not TakePixels()(model).modified
    assert model.SerializeToString(deterministic=True) == before


def test_bytes_stand_beside_casts_alone():
    model = make_model()
    TakePixels()(model)
    beside = [node for node in model.graph.node if {"image", "restored", "mask"} & {*node.input, *node.output}]
    assert [node.op_type for node in beside] == ["Cast"] * 3
    beside[0].op_type = "Identity"
    del beside[0].attribute[:]
    with pytest.raises(PassError, match="Identity pixels_image_cast takes or gives bytes, expected a Cast"):
        TakePixels().ensures(model)


def rename_output(model: onnx.ModelProto) -> None:
    model.graph.output[1].name = model.graph.node[4].output[0] = "found"


def take_name(model: onnx.ModelProto) -> None:
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = "pixels_twice"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (rename_output, "its inputs and outputs are image, restored, found, expected image, restored and mask"),
        (take_name, "it has a tensor pixels_twice; names that begin with pixels_ are for the pass"),
        (None, "image is FLOAT16 with 4 dimensions, expected FLOAT with 4"),
    ],
)
def test_other_graphs_are_refused_and_left_alone(change, words):
    model = make_model() if change else make_model(TensorProto.FLOAT16)
    if change:
        change(model)
    before = model.SerializeToString(deterministic=True)
    with pytest.raises(PassError, match=f"TakePixels cannot take this graph: {words}"):
        TakePixels()(model)
    assert model.SerializeToString(deterministic=True) == before


def run_planes(model: onnx.ModelProto, image: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["restored", "mask", "density"], {"image": image})


@pytest.mark.parametrize("size", [(1, 1), (3, 8), (17, 5)], ids=str)
def test_planes_give_the_bytes_of_pixels_and_the_density(size):
    model, other = make_model(), make_model()
    assert TakePixels("planes")(model).modified and TakePixels()(other).modified
    planes = np.random.default_rng(0).integers(0, 256, (2, 3, *size)).astype(np.uint8)
    restored, mask, density = run_planes(model, planes)
    expected = run(other, np.ascontiguousarray(np.moveaxis(planes, 1, 3)))
    np.testing.assert_array_equal(restored, np.moveaxis(expected["restored"], 3, 1))
    assert (mask.shape, mask.dtype, density.dtype) == ((2, 1, *size), np.uint8, np.float32)
    np.testing.assert_array_equal(mask[:, 0], expected["mask"])
    np.testing.assert_allclose(density, mask.mean(axis=(1, 2, 3)), rtol=1e-6)
    assert not TakePixels("planes")(model).modified


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_planes_have_no_density_where_values_are_not_finite(value):
    model = make_model()
    TakePixels("planes")(model)
    scale_by(model, value)
    planes = np.zeros((2, 3, 5, 7), np.uint8)
    planes[1, 1, 2, 3] = 51
    density = run_planes(model, planes)[2]
    assert np.isnan(density[1])
    scale_by(model, 2.0)
    assert list(run_planes(model, planes)[2]) == [0.0, 0.0]


def test_planes_have_bytes_beside_casts_alone():
    model = make_model()
    TakePixels("planes")(model)
    beside = [node for node in model.graph.node if {"image", "restored", "mask"} & {*node.input, *node.output}]
    assert [node.op_type for node in beside] == ["Cast"] * 3
    stored = {tensor.name for tensor in model.graph.initializer}
    assert stored <= {name for node in model.graph.node for name in node.input}, "no constant is left over"

"""The pass that makes a graph accept any size."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from spair.export.passes.padding import PadToMultiple


def depth_model(multiple: int, rank: int = 4) -> onnx.ModelProto:
    """image -> out, which fails on sizes that are no multiples: folds to 1/multiple and back."""
    shape = [None] * rank
    nodes = [
        helper.make_node("SpaceToDepth", ["image"], ["folded"], blocksize=multiple),
        helper.make_node("DepthToSpace", ["folded"], ["out"], blocksize=multiple),
        helper.make_node(
            "AveragePool", ["out"], ["smooth"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "fold",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("out", "smooth")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run(model: onnx.ModelProto, image: np.ndarray) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"image": image})


@pytest.mark.parametrize("size", [(1, 1), (3, 8), (8, 8), (9, 15)], ids=str)
def test_any_size_is_padded_by_repetition_and_cropped(size):
    model = depth_model(4)
    assert PadToMultiple(4)(model).modified
    image = np.random.default_rng(0).random((2, 3, *size), np.float32)
    out, smooth = run(model, image)
    np.testing.assert_array_equal(out, image)
    missing = [(0, 0), (0, 0), *((0, -side % 4) for side in size)]
    expected = run(depth_model(4), np.pad(image, missing, mode="edge"))[1][..., : size[0], : size[1]]
    np.testing.assert_array_equal(smooth, expected)  # an output that is also used inside stays uncropped there


@pytest.mark.parametrize(("size", "inner"), [((1, 3), (12, 12)), ((12, 13), (12, 16)), ((17, 4), (20, 12))], ids=str)
def test_small_sizes_are_padded_to_the_smallest_one(size, inner):
    model = depth_model(4)
    assert PadToMultiple(4, smallest=9)(model).modified  # 12 is the next multiple
    image = np.random.default_rng(0).random((1, 3, *size), np.float32)
    missing = [(0, 0), (0, 0), (0, inner[0] - size[0]), (0, inner[1] - size[1])]
    expected = run(depth_model(4), np.pad(image, missing, mode="edge"))[1][..., : size[0], : size[1]]
    np.testing.assert_array_equal(run(model, image)[1], expected)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("image_padded", TensorProto.FLOAT, [None] * 4))
    assert run(model, image)[0].shape[2:] == inner


@pytest.mark.parametrize("size", [(1, 1), (3, 8), (9, 6)], ids=str)
def test_pictures_become_squares_and_larger_outputs_are_cropped_to_their_scale(size):
    model = depth_model(4)
    for node in model.graph.node[1:]:  # the outputs become twice as large
        if node.op_type == "DepthToSpace":
            node.output[0] = "same"
    model.graph.node.insert(2, helper.make_node("Concat", ["same"] * 4, ["four"], axis=1))
    model.graph.node.insert(3, helper.make_node("DepthToSpace", ["four"], ["out"], blocksize=2))
    PadToMultiple(4, scale=2, square=True)(model)
    image = np.random.default_rng(0).random((2, 3, *size), np.float32)
    out, smooth = run(model, image)
    assert out.shape == smooth.shape == (2, 3, 2 * size[0], 2 * size[1])
    side = -(-max(size) // 4) * 4
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("image_padded", TensorProto.FLOAT, [None] * 4))
    padded = np.pad(image, ((0, 0), (0, 0), (0, side - size[0]), (0, side - size[1])), mode="edge")
    np.testing.assert_array_equal(run(model, image)[0], padded)


def chain_model() -> onnx.ModelProto:
    """image -> mask -> restored, means of 3x3 pixels each, which are lower at the border."""
    window = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}
    nodes = [
        helper.make_node("AveragePool", ["image"], ["mask"], **window),
        helper.make_node("AveragePool", ["mask"], ["restored"], **window),
    ]
    image, mask, restored = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in ("image", "mask", "restored")
    )
    graph = helper.make_graph(nodes, "chain", [image], [restored, mask])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run_chain(model: onnx.ModelProto, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    restored, mask = run(model, image)
    return restored, mask


@pytest.mark.parametrize("size", [(1, 1), (3, 8), (8, 8), (9, 15)], ids=str)
def test_a_repeated_output_is_read_with_its_own_edge_in_the_padding(size):
    model = chain_model()
    assert PadToMultiple(4, repeated=["mask"])(model).modified
    image = np.random.default_rng(0).random((2, 1, *size), np.float32)
    missing = [(0, 0), (0, 0), *((0, -side % 4) for side in size)]
    restored, mask = run_chain(model, image)
    plain = run_chain(chain_model(), np.pad(image, missing, mode="edge"))[1]
    np.testing.assert_array_equal(mask, plain[..., : size[0], : size[1]])
    expected = run_chain(chain_model(), np.pad(mask, missing, mode="edge"))[1]  # the same mean once more
    np.testing.assert_array_equal(restored, expected[..., : size[0], : size[1]])
    if size != (8, 8):
        other = chain_model()
        PadToMultiple(4)(other)
        assert (run_chain(other, image)[0] != restored).any(), "the padding matters"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"repeated": ["masks"]}, "there is no output masks to repeat; it has restored, mask"),
        ({"repeated": ["mask"], "scale": 2}, "mask is 2 times as large as the inputs, expected their size"),
    ],
    ids=["name", "scale"],
)
def test_what_cannot_be_repeated_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        PadToMultiple(4, **options)(chain_model())


def test_what_it_adds_has_names():
    model = depth_model(4)
    own = len(model.graph.node)
    PadToMultiple(4, smallest=9)(model)
    names = [node.name for node in model.graph.node if node.name]  # the graph's own have none
    assert len(set(names)) == len(model.graph.node) - own
    assert {"pad_image", "crop_out", "crop_smooth"} <= set(names)


def test_without_the_pass_such_a_size_fails():
    with pytest.raises(Exception, match="SpaceToDepth|DepthToSpace|shape"):
        run(depth_model(4), np.zeros((1, 3, 3, 8), np.float32))


def test_a_multiple_of_1_changes_nothing_and_says_so():
    model = depth_model(2)
    before = model.SerializeToString()
    assert not PadToMultiple(1)(model).modified
    assert model.SerializeToString() == before


def test_other_than_four_dimensions_are_refused():
    with pytest.raises(ValueError, match="image has 3 dimensions, expected"):
        PadToMultiple(4)(depth_model(4, rank=3))

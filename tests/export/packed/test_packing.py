"""The packed form of a graph against the dense one: every density, several pictures, any size."""

import copy

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from spair.export.operators.bodies import OPSET, add_function_bodies
from spair.export.operators.table import DOMAIN
from spair.export.packed.packing import PackSparse
from spair.runtime import Bundle

CASES = [(batch, *size) for batch in (1, 3) for size in ((8, 8), (16, 40), (40, 24))]
DENSITIES = [0.0, "one pixel", 0.02, 0.1, 0.5, 1.0, "one picture"]


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def make_mask(density, batch: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros((batch, 1, height, width), np.float32)
    if density == "one pixel":
        mask[..., height // 2, width // 3] = 1
    elif density == "one picture":
        mask[-1] = 1
    else:
        mask[:] = np.random.default_rng(1).random(mask.shape) < density
    return mask


@pytest.fixture(scope="module")
def graphs(tiny_bundle) -> tuple[onnxruntime.InferenceSession, onnxruntime.InferenceSession]:
    dense = onnx.load(Bundle.open(tiny_bundle).graph("fp32", "net_r"))
    packed = copy.deepcopy(dense)
    report = PackSparse()(packed)
    sparse = [node.op_type for node in dense.graph.node if node.domain == DOMAIN]
    assert report.modified
    assert report.packed["SparseConv2d"] == sparse.count("SparseConv2d")
    assert report.packed["SparseNonLocal"] == 1
    assert report.written_back == 1  # activations stay packed from the first layer to the last
    assert not packed.functions
    return session(dense), session(packed)


def feed(graph: onnxruntime.InferenceSession, mask: np.ndarray) -> dict[str, np.ndarray]:
    """Random inputs of the right shapes for a mask [N,1,H,W]; at least one image has keys that are all distorted."""
    rng = np.random.default_rng(0)
    batch, _, height, width = mask.shape
    feeds = {}
    for value in graph.get_inputs():
        scale = int(value.name[1:]) if value.name in ("f0", "f1", "f2") else 0
        full = value.name in ("image", "mask", "f0", "f1", "f2")
        shape = (batch, value.shape[1], *((height >> scale, width >> scale) if full else value.shape[2:]))
        feeds[value.name] = rng.random(shape, np.float32)
    feeds["key_mask"] = (feeds["key_mask"] > 0.3).astype(np.float32)
    feeds["key_mask"][0] = 0
    return {**feeds, "mask": mask}


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("density", DENSITIES)
def test_packed_equals_dense(graphs, case, density):
    dense, packed = graphs
    feeds = feed(dense, make_mask(density, *case))
    (expected,), (got,) = dense.run(None, feeds), packed.run(None, feeds)
    # Both sum up to 576 float32 products a layer in their own order: 4e-7 seen on 0..1; a wrong neighbour gives 1e-3.
    np.testing.assert_allclose(got, expected, atol=1e-5)
    clean = np.broadcast_to(feeds["mask"] == 0, got.shape)
    np.testing.assert_array_equal(got[clean], feeds["image"][clean])


def test_a_neighbour_more_or_less_would_be_seen(graphs):
    dense, packed = graphs
    feeds = feed(dense, make_mask(0.5, 1, 16, 40))
    moved = {**feeds, "mask": np.roll(feeds["mask"], 1, axis=3)}
    both = (feeds["mask"] * moved["mask"] > 0) & np.ones((1, 3, 1, 1), bool)
    difference = np.abs(packed.run(None, moved)[0] - dense.run(None, feeds)[0])[both]
    assert difference.max() > 1e-4


def convolution(**attributes) -> onnx.ModelProto:
    """A single SparseConv2d x, mask -> out, 3 to 4 channels."""
    values = {"pads": [2] * 4, "negative_slope": 0.2, "clean_input": 1.0, **attributes}
    kernel = values["pads"][0] * 2 + 1
    node = helper.make_node("SparseConv2d", ["x", "mask", "w", "b"], ["out"], domain=DOMAIN, **values)
    rng = np.random.default_rng(0)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", c, "h", "w"]) for n, c in (("x", 3), ("mask", 1))],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 4, "h", "w"])],
        [
            onnx.numpy_helper.from_array(rng.standard_normal((4, 3, kernel, kernel)).astype(np.float32), "w"),
            onnx.numpy_helper.from_array(rng.standard_normal(4).astype(np.float32), "b"),
        ],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    add_function_bodies(model)
    return model


@pytest.mark.parametrize("radius", [0, 1, 2])
@pytest.mark.parametrize("density", [0.0, "one pixel", 0.5, 1.0])
@pytest.mark.parametrize("clean_input", [0.0, 1.0])
def test_every_kernel_size_and_slope_and_a_packed_output(radius, density, clean_input):
    dense = convolution(pads=[radius] * 4, clean_input=clean_input)
    packed = copy.deepcopy(dense)
    PackSparse()(packed)
    mask = make_mask(density, 2, 5, 7)
    feeds = {"x": np.random.default_rng(2).standard_normal((2, 3, 5, 7)).astype(np.float32), "mask": mask}
    expected, got = (session(model).run(None, feeds)[0] for model in (dense, packed))
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("constant", "value"), [("BLOCK", 1), ("BLOCK", 4), ("BLOCK", 31), ("FEW", 0), ("FEW", 10**6)], ids=str
)
def test_filled_blocks_and_either_way_to_read_a_map_change_nothing(tiny_bundle, graphs, monkeypatch, constant, value):
    monkeypatch.setattr(f"spair.export.packed.sites.{constant}", value)
    packed = onnx.load(Bundle.open(tiny_bundle).graph("fp32", "net_r"))
    PackSparse()(packed)
    dense, again = graphs[0], session(packed)
    for density in DENSITIES:
        feeds = feed(dense, make_mask(density, 2, 16, 24))
        np.testing.assert_allclose(again.run(None, feeds)[0], dense.run(None, feeds)[0], atol=1e-5)


def extended(nodes: list[onnx.NodeProto], *, before: bool = False, channels: int = 4) -> onnx.ModelProto:
    """`convolution` with standard nodes between x and it, or between it and out."""
    model = convolution(pads=[1] * 4, clean_input=1.0)
    node = model.graph.node[0]
    if before:
        node.input[0] = "prepared"
        model.graph.node.insert(0, nodes[0])
        for other in nodes[1:]:
            model.graph.node.insert(1, other)
    else:
        node.output[0] = "made"
        model.graph.node.extend(nodes)
    out = model.graph.output[0].type.tensor_type.shape.dim
    out[1].dim_value = channels
    if channels == 1:
        out[2].dim_param, out[3].dim_param = "h2", "w2"
    return model


def check_equal(dense: onnx.ModelProto, **more: np.ndarray) -> None:
    packed = copy.deepcopy(dense)
    PackSparse()(packed)
    for density in (0.0, 0.3, 1.0):
        x = np.random.default_rng(2).standard_normal((2, 3, 6, 8)).astype(np.float32)
        feeds = {"x": x, "mask": make_mask(density, 2, 6, 8), **more}
        expected, got = (session(model).run(None, feeds)[0] for model in (dense, packed))
        np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("mode", ["CRD", "DCR"])
@pytest.mark.parametrize("between", [[], ["Relu"], ["Tanh"]], ids=str)
def test_any_shuffle_of_a_packed_result_is_right(mode, between):
    nodes, name = [], "made"
    for kind in between:
        nodes.append(helper.make_node(kind, [name], [f"{name}_{kind}"]))
        name = f"{name}_{kind}"
    nodes.append(helper.make_node("DepthToSpace", [name], ["shuffled"], blocksize=2, mode=mode))
    nodes.append(helper.make_node("Neg", ["shuffled"], ["out"]))
    if mode == "CRD" and not between:
        with pytest.raises(ValueError, match="made is a pixel shuffle that something dense reads|shuffled is a pixel"):
            PackSparse()(extended(nodes, channels=1))
    else:
        check_equal(extended(nodes, channels=1))


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (2, 3, 1, 1), (1, 1, 1, 1), (1,), ()], ids=str)
@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul"])
def test_what_is_computed_before_a_layer_may_be_broadcast(shape, kind):
    dense = extended([helper.make_node(kind, ["x", "images"], ["prepared"])], before=True)
    values = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    dense.graph.initializer.append(onnx.numpy_helper.from_array(values, "images"))
    check_equal(dense)


def test_what_cannot_be_packed_is_refused_by_name():
    with pytest.raises(ValueError, match=r"SparseConv2d out has a kernel of \[7, 7\] .* only 1x1, 3x3 and 5x5"):
        PackSparse()(convolution(pads=[3] * 4))
    with pytest.raises(ValueError, match="SparseConv2d out has weights of type 11; only float32"):
        double = convolution()
        double.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.zeros((4, 3, 5, 5)), "w"))
        PackSparse()(double)
    model = convolution()
    del model.graph.initializer[0]
    with pytest.raises(ValueError, match="the weights of SparseConv2d out must be initializers"):
        PackSparse()(model)
    model = convolution()
    model.graph.node[0].op_type = "MaskedModulation"
    del model.graph.node[0].input[2:], model.functions[:]
    with pytest.raises(ValueError, match="MaskedModulation has no packed form"):
        PackSparse()(model)


def test_a_graph_without_sparse_operators_stays_as_it_is():
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Relu", ["a"], ["b"])],
            "g",
            [helper.make_tensor_value_info("a", TensorProto.FLOAT, [1])],
            [helper.make_tensor_value_info("b", TensorProto.FLOAT, [1])],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=10,
    )
    report = PackSparse()(model)
    assert not report.modified
    assert [node.op_type for node in model.graph.node] == ["Relu"]

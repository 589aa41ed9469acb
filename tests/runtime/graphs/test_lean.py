"""The lean form of a graph gives what the graph gives, bit for bit."""

import functools

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.runtime import Bundle
from spair.runtime.backends.values import expose_values
from spair.runtime.graphs import make_lean

PARTS = ("net_l", "net_r", "model")
SIZES = ((8, 8), (16, 24), (40, 56))
MASKS = {
    "empty": lambda h, w: np.zeros((h, w)),
    "full": lambda h, w: np.ones((h, w)),
    "one pixel": lambda h, w: np.eye(h, w, h // 3) * (np.arange(h) == 1)[:, None],
    "corners": lambda h, w: np.pad(np.zeros((h - 2, w - 2)), 1, constant_values=1) * (np.arange(w) % 3 == 0),
    "border": lambda h, w: np.pad(np.zeros((h - 2, w - 2)), 1, constant_values=1),
    "all but the border": lambda h, w: np.pad(np.ones((h - 2, w - 2)), 1),
    "rows": lambda h, w: np.broadcast_to(np.arange(h)[:, None] % 2, (h, w)),
    "columns": lambda h, w: np.broadcast_to(np.arange(w) % 3 == 2, (h, w)),
    "lone pixels": lambda h, w: np.random.default_rng(0).random((h, w)) < 0.05,
    "half": lambda h, w: np.random.default_rng(1).random((h, w)) < 0.5,
}


def open_session(content: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def open_forms(tiny_bundle):
    """Opens the exported graph and its lean form."""

    @functools.cache
    def opened(part: str) -> tuple[ort.InferenceSession, ort.InferenceSession]:
        content = Bundle.open(tiny_bundle).graph("fp32", part).read_bytes()
        lean = make_lean(content)
        assert lean is not None
        return open_session(content), open_session(lean)

    return opened


def make_feeds(session: ort.InferenceSession, mask: np.ndarray, batch: int = 1, seed: int = 0) -> dict:
    """Random inputs; both signs and zeros are among the features."""
    random, (height, width) = np.random.default_rng(seed), mask.shape
    sizes = {"height": height, "width": width, "batch": batch}
    feeds = {}
    for value in session.get_inputs():
        shape = [_size(side, sizes) for side in value.shape]
        feeds[value.name] = np.maximum(random.standard_normal(shape), -0.5).astype(np.float32)
    if "mask" in feeds:
        feeds["mask"][:] = mask
        feeds["mask"][1:] = 1 - mask  # other pictures of the batch have the opposite mask
        feeds["key_mask"] = (feeds["key_mask"] > 0).astype(np.float32)
    return feeds


def _size(side: int | str, sizes: dict[str, int]) -> int:
    name, _, divisor = str(side).partition("/")
    return side if isinstance(side, int) else sizes[name] // int(divisor or 1)


def assert_equal(forms, feeds):
    """NaN equals NaN here, and 0 equals -0; all else must have the same bits."""
    written, lean = (form.run(None, feeds) for form in forms)
    for expected, got in zip(written, lean, strict=True):
        np.testing.assert_array_equal(got, expected)
    return written


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", MASKS)
def test_net_r_is_equal_under_every_mask(open_forms, name, size):
    forms = open_forms("net_r")
    feeds = make_feeds(forms[0], MASKS[name](*size), batch=2)
    (restored,) = assert_equal(forms, feeds)
    if name not in ("empty", "one pixel"):
        assert not np.array_equal(restored, feeds["image"]), "the network does something"


@pytest.mark.parametrize("part", ["net_l", "model"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_networks_that_find_the_mask_are_equal(open_forms, part, size):
    forms = open_forms(part)
    for seed in range(3):
        assert_equal(forms, make_feeds(forms[0], np.zeros(size), batch=2, seed=seed))


@pytest.mark.parametrize("value", [np.nan, 1e30, -1e30], ids=str)
@pytest.mark.parametrize("where", ["image", "f0", "f1", "f2"])
def test_strange_features_spread_as_they_did(open_forms, value, where):
    forms, size = open_forms("net_r"), (40, 56)
    for name in ("lone pixels", "half", "columns"):
        feeds = make_feeds(forms[0], MASKS[name](*size))
        feeds[where][0, 1, 3, 2] = value
        assert_equal(forms, feeds)


def test_net_r_keeps_the_masks_of_kernels_that_read_across_pixels(tiny_bundle):
    bundle = Bundle.open(tiny_bundle)
    written = onnx.load(bundle.graph("fp32", "net_r"))
    lean = onnx.load_from_string(make_lean(bundle.graph("fp32", "net_r").read_bytes()))
    onnx.checker.check_model(lean, full_check=True)
    sides = {tensor.name: tensor.dims[-1] for tensor in written.graph.initializer if len(tensor.dims) == 4}
    sparse = [node for node in written.graph.node if node.op_type == "SparseConv2d"]
    clean = [helper.get_attribute_value(next(a for a in n.attribute if a.name == "clean_input")) for n in sparse]
    across = {tuple(n.input[:2]) for n, c in zip(sparse, clean, strict=True) if sides[n.input[2]] > 1 and not c}
    kinds = [node.op_type for node in lean.graph.node]
    assert "SparseConv2d" not in kinds and "DepthToSpace" not in kinds
    masked = [tuple(node.input) for node in lean.graph.node if node.op_type == "Mul" and node.output[0][:5] == "lean_"]
    assert sorted(masked) == sorted(across)
    others = [node for node in written.graph.node if node.op_type == "Mul" and "pixel_shuffle" not in node.input[0]]
    assert kinds.count("Mul") == len(masked) + len(others), "the products behind the shuffles are gone"


def test_inputs_outputs_and_weights_stay(tiny_bundle):
    content = Bundle.open(tiny_bundle).graph("fp32", "net_r").read_bytes()
    written, lean = onnx.load_from_string(content), onnx.load_from_string(make_lean(content))
    assert list(lean.graph.input) == list(written.graph.input)
    assert list(lean.graph.output) == list(written.graph.output)
    assert list(lean.graph.initializer)[: len(written.graph.initializer)] == list(written.graph.initializer)
    assert lean.opset_import == written.opset_import and lean.ir_version == written.ir_version
    assert make_lean(lean.SerializeToString()) is None, "a second call changes nothing"


def test_values_that_became_outputs_have_their_zeros(tiny_bundle):
    content = Bundle.open(tiny_bundle).graph("fp32", "net_r").read_bytes()
    names = ["_symbolic_3", "_symbolic_10", "mul_144", "relu_1", "_symbolic_18"]
    exposed = expose_values(content, names)
    lean = make_lean(exposed)
    assert lean is not None
    forms = open_session(exposed), open_session(lean)
    feeds = make_feeds(forms[0], MASKS["lone pixels"](16, 24))
    values = assert_equal(forms, feeds)
    assert len(values) == 1 + len(names)
    assert all((value == 0).any() for value in values[1:])


def make_model(nodes, constants=(), kind=TensorProto.FLOAT) -> bytes:
    """A graph from x [1,4,H,W] to y."""
    x = helper.make_tensor_value_info("x", kind, [1, 4, "H", "W"])
    y = helper.make_tensor_value_info("y", kind, [1, "C", "h", "w"])
    graph = helper.make_graph(nodes, "g", [x], [y], list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return model.SerializeToString()


WEIGHT = np.random.default_rng(0).standard_normal((8, 4, 3, 3)).astype(np.float32)


def make_shuffle(weight=WEIGHT, kind=TensorProto.FLOAT, more=(), **attributes) -> bytes:
    """A convolution and a pixel shuffle."""
    shuffle = {"blocksize": 2, "mode": "CRD", **attributes}
    nodes = [
        helper.make_node("Conv", ["x", "weight"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("DepthToSpace", ["c"], ["s"], **shuffle),
        *(more or [helper.make_node("Relu", ["s"], ["y"])]),
    ]
    return make_model(nodes, [numpy_helper.from_array(weight, "weight")], kind)


@pytest.mark.parametrize("channels", [4, 8, 36, 64])
def test_a_pixel_shuffle_is_equal(channels):
    weight = np.random.default_rng(channels).standard_normal((channels, 4, 3, 3)).astype(np.float32)
    content = make_shuffle(weight)
    x = np.random.default_rng(0).standard_normal((1, 4, 5, 7)).astype(np.float32)
    lean = make_lean(content)
    assert [node.op_type for node in onnx.load_from_string(lean).graph.node] == ["Conv", "ConvTranspose", "Relu"]
    assert_equal((open_session(content), open_session(lean)), {"x": x})


def test_a_shuffle_of_infinities_differs_inside_their_cell_alone():
    content = make_shuffle(np.float32([1, 0, 0, 0]).reshape(4, 1, 1, 1) * np.ones((1, 4, 3, 3), np.float32))
    x = np.zeros((1, 4, 6, 6), np.float32)
    x[0, 0, 2, 2] = np.inf
    written, lean = (open_session(one).run(None, {"x": x})[0] for one in (content, make_lean(content)))
    finite = np.isfinite(open_session(content).run(None, {"x": x})[0]).reshape(1, 1, 6, 2, 6, 2).all((3, 5))
    whole = finite.repeat(2, 2).repeat(2, 3)
    assert not whole.all() and whole.any()
    np.testing.assert_array_equal(lean[whole], written[whole])


@pytest.mark.parametrize(
    "content",
    [
        make_shuffle(mode="DCR"),
        make_shuffle(np.zeros((9, 4, 3, 3), np.float32), blocksize=3),
        make_shuffle(WEIGHT.astype(np.float16), TensorProto.FLOAT16),
        make_shuffle(more=[helper.make_node("Cast", ["s"], ["h"], to=TensorProto.FLOAT16),
                           helper.make_node("Cast", ["h"], ["y"], to=TensorProto.FLOAT)]),
        make_shuffle(more=[helper.make_node("DynamicQuantizeLinear", ["s"], ["q", "scale", "zero"]),
                           helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"])]),
        make_model([helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=2, mode="CRD")]),
        make_model([helper.make_node("Relu", ["x"], ["y"], doc_string="DepthToSpace")]),
    ],
    ids=["another order", "by three", "halves", "rounded", "quantized", "unknown channels", "no shuffle"],
)  # fmt: skip
def test_other_graphs_have_no_lean_form(content):
    onnx.checker.check_model(onnx.load_from_string(content))
    assert make_lean(content) is None


def test_a_graph_with_subgraphs_has_none():
    branch = helper.make_graph(
        [helper.make_node("Identity", ["s"], ["inner"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )
    condition = helper.make_node("Constant", [], ["yes"], value=helper.make_tensor("t", TensorProto.BOOL, [], [True]))
    choice = helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch)
    assert make_lean(make_shuffle(more=[condition, choice])) is None


def test_a_graph_that_leaves_weights_in_other_files_has_none(tmp_path):
    model = onnx.load_from_string(make_shuffle())
    onnx.save(model, tmp_path / "g.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    assert make_lean((tmp_path / "g.onnx").read_bytes()) is None


def test_bytes_that_are_no_graph_are_refused():
    with pytest.raises(ValueError, match="a field"):
        make_lean(b"\x0bDepthToSpace")

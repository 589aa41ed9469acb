"""The end of a network as one node: the same pixels, and only where the mask says what the selection says."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from spair.export.counts.traffic import count_bytes_between
from spair.export.engines.graph import rewrite_for_plugins
from spair.export.listed.compose import ComposePixels
from spair.export.operators.table import DOMAIN
from tests.export.listed.models import load_halves, make_plain_model, run

CONSTANTS = {"w": np.ones((3, 3, 3, 3)), "b": np.zeros(3), "half": 0.5, "low": 0.0, "high": 1.0, "one": 1.0}


def make_model(change: str = "", dtype: type = np.float32) -> onnx.ModelProto:
    """A sparse convolution, whose result is added to the picture where the mask is 1."""
    names = {"half": "one" if change == "bound" else "half", "picture": "other" if change == "picture" else "picture"}
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    compared = {"mask": "picture", "source": "m"}.get(change, "wide_mask")
    clip = ["sum", "" if change == "limit" else "low", "high"]
    attributes = {"pads": [1] * 4, "negative_slope": 1.0, "clean_input": 0.0, "clear_output": 0}
    nodes = [
        helper.make_node("Cast", ["picture"], ["x"], to=kind),
        helper.make_node("Cast", ["m"], ["mask"], to=kind),
        helper.make_node("SparseConv2d", ["x", "mask", "w", "b"], ["y"], domain=DOMAIN, **attributes),
        helper.make_node("Cast", ["y"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["mask"], ["wide_mask"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["wide", "picture"] if change == "order" else ["picture", "wide"], ["sum"]),
        helper.make_node("Clip", clip, ["limited"]),
        helper.make_node("Greater", [compared, names["half"]], ["is_distorted"]),
        helper.make_node("Where", ["is_distorted", "limited", names["picture"]], ["restored"]),
    ]
    shapes = {"picture": [1, 3, 6, 8], "m": [1, 1, 6, 8], "other": [1, 3, 6, 8]}
    stored = {name: np.asarray(value, dtype if name in "wb" else np.float32) for name, value in CONSTANTS.items()}
    return make_plain_model(nodes, shapes, {"restored": [1, 3, 6, 8]}, stored)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("change", ["", "order", "source"])
def test_the_end_of_a_network_is_one_node_and_gives_the_same_pixels(dtype, change):
    before, after = make_model(change, dtype), make_model(change, dtype)
    assert ComposePixels()(after).modified
    (node,) = (node for node in after.graph.node if node.op_type == "SparseCompose")
    assert list(node.input) == ["picture", "y", "mask"]
    assert {part.name: part.f for part in node.attribute if part.type == part.FLOAT} == {"low": 0.0, "high": 1.0}
    assert [node.op_type for node in after.graph.node] == ["Cast", "Cast", "SparseConv2d", "SparseCompose"]
    assert not ComposePixels()(after).modified
    rng = np.random.default_rng(0)
    feed = {"picture": rng.random((1, 3, 6, 8)), "m": rng.random((1, 1, 6, 8)) < 0.5, "other": np.zeros((1, 3, 6, 8))}
    np.testing.assert_array_equal(run(after, **feed)[0], run(before, **feed)[0])


@pytest.mark.parametrize("change", ["bound", "limit", "mask", "picture"])
def test_another_selection_stays(change):
    model = make_model(change)
    before = model.SerializeToString()
    assert not ComposePixels()(model).modified
    assert model.SerializeToString() == before


def test_a_network_in_halves_moves_few_bytes_between_its_plugins(tiny_bundle):
    model, plain = load_halves(tiny_bundle)
    rewrite_for_plugins(model)
    behind = [node.op_type for node in model.graph.node]
    assert behind[behind.index("SparseCompose") + 1 :] in (["Slice"], ["Slice", "Cast"], ["Cast", "Slice"])
    assert count_bytes_between(model, 1920, 1080) < 0.2e9
    image = {"image": np.random.default_rng(2).random((2, 3, 21, 30), np.float32)}
    (restored, mask), (expected, same) = run(model, **image), run(plain, **image)
    np.testing.assert_array_equal(mask, same)
    np.testing.assert_allclose(restored, expected, rtol=0, atol=2**-8)  # halves of sums in another order
    clean = np.broadcast_to(mask == 0, restored.shape)
    np.testing.assert_array_equal(restored[clean], image["image"][clean])

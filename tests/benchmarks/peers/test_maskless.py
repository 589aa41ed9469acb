import numpy as np
import onnx
import pytest

from benchmarks.peers.maskless import fill_masks, remove_masks
from spair.export.operators.table import DOMAIN
from spair.runtime.backends.onnxruntime import OnnxGraph


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).random((1, 3, 19, 37), np.float32)


def run(model, folder, picture):
    onnx.save(model, folder / "graph.onnx")
    with OnnxGraph(folder / "graph.onnx", threads=1) as graph:
        return graph.run({"image": picture})


def test_it_computes_what_the_operators_do_under_masks_of_one(tiny_bundle, tmp_path, picture):
    source = tiny_bundle / "graphs" / "fp32" / "model.onnx"
    maskless, filled = onnx.load(source), onnx.load(source)
    remove_masks(maskless)
    fill_masks(filled)
    got, expected = run(maskless, tmp_path, picture), run(filled, tmp_path, picture)
    distorted = expected["mask"][0, 0] > 0
    assert 0.1 < distorted.mean() < 0.9
    np.testing.assert_allclose(got["restored"], expected["restored"], atol=1e-5)
    masked = run(onnx.load(source), tmp_path, picture)["restored"]
    assert np.abs(got["restored"] - masked).max() > 1e-3


def test_no_mask_and_no_operator_is_left(tiny_bundle):
    model = onnx.load(tiny_bundle / "graphs" / "fp32" / "model.onnx")
    kinds = {node.op_type for node in model.graph.node if node.domain == DOMAIN}
    assert kinds == {"SparseConv2d", "MaskedModulation", "SparseNonLocal"}
    remove_masks(model)
    assert not [node for node in model.graph.node if node.domain == DOMAIN]
    assert not model.functions


def test_an_operator_that_is_not_known_is_refused(tiny_bundle):
    model = onnx.load(tiny_bundle / "graphs" / "fp32" / "model.onnx")
    next(node for node in model.graph.node if node.domain == DOMAIN).op_type = "Other"
    with pytest.raises(ValueError, match="Other has no form without masks"):
        remove_masks(model)

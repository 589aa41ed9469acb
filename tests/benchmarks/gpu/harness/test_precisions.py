"""Graphs of fewer bits run, restore something, and become part of a bundle."""

import shutil

import numpy as np
import onnxruntime
import pytest

from benchmarks.gpu.harness.pictures import draw_rain
from benchmarks.gpu.harness.precisions import add_precision, convert, make_twins
from spair.runtime import Bundle, Restorer

PICTURE = draw_rain(64, 48, 1.0)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_converted_graph_restores_something(tiny_bundle, tmp_path, precision):
    graph = convert(Bundle.open(tiny_bundle), precision, tmp_path / "model.onnx")
    image = np.moveaxis(PICTURE, 2, 0)[None].astype(np.float32) / 255
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    restored, mask = session.run(["restored", "mask"], {"image": image})
    assert np.isfinite(restored).all() and np.isin(mask, (0, 1)).all() and mask.any()
    assert np.abs(restored - image).max() > 0, "the network changes something, so that engines can be told apart"


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_bundle_gets_all_graphs_of_a_precision_once(tiny_bundle, tmp_path, precision):
    path = shutil.copytree(tiny_bundle, tmp_path / "copy.spair")
    made = add_precision(Bundle.open(path), precision)
    assert set(made.manifest.graphs[precision]) == set(made.manifest.graphs["fp32"])
    assert add_precision(made, precision) is made
    with Restorer.open(path, backend="onnxruntime", precision=precision) as lower, Restorer.open(path) as exact:
        found, expected = lower(PICTURE), exact(PICTURE)
    assert (found.mask != expected.mask).mean() < 0.2 and (found.image != PICTURE).any()


def test_twins_are_float32_graphs_of_both_stages(tiny_bundle):
    twins = make_twins(Bundle.open(tiny_bundle), "fp16")
    assert set(twins) == {"net_l", "net_r"}
    kinds = {value.type.tensor_type.elem_type for model in twins.values() for value in model.graph.input}
    assert kinds == {1}

"""Engines ask for the threshold that a graph has as a constant."""

import numpy as np
import onnx
import onnxruntime
import pytest

from spair.export.passes.threshold import ask_for_threshold
from spair.runtime.bundle.reader import Bundle
from spair.runtime.graphs import THRESHOLD, find_logit_of, read_graph


@pytest.fixture
def net_l(tiny_bundle):
    return Bundle.open(tiny_bundle).graph("fp32", "net_l")


def run(content, feeds):
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, feeds)


def test_a_graph_with_its_own_threshold_given_computes_the_same(net_l):
    content = ask_for_threshold(net_l.read_bytes())
    model = onnx.load_model_from_string(content)
    onnx.checker.check_model(model)
    assert [value.name for value in model.graph.input] == ["image", THRESHOLD]
    assert THRESHOLD not in [tensor.name for tensor in model.graph.initializer]
    feeds = {"image": np.random.default_rng(0).random((1, 3, 16, 24), np.float32)}
    own = np.array([find_logit_of(read_graph(net_l))], np.float32)
    for found, expected in zip(run(content, {**feeds, THRESHOLD: own}), run(net_l.read_bytes(), feeds), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_graph_without_a_mask_stays_as_it_is(tiny_bundle):
    content = Bundle.open(tiny_bundle).graph("fp32", "net_r").read_bytes()
    assert ask_for_threshold(content) == content

"""A lean form that computes otherwise fails the parity of its graph."""

import numpy as np
import pytest

from spair.export.parity.lean import BothForms
from spair.export.parity.measures import ModuleParity
from spair.runtime import Bundle
from spair.runtime.backends import onnxruntime as backend


def run(file, feeds):
    result = ModuleParity(cases=1)
    with BothForms(file, result) as graph:
        outputs = graph.run(feeds)
    return outputs, result


@pytest.fixture
def net_l(tiny_bundle):
    return Bundle.open(tiny_bundle).graph("fp32", "net_l")


@pytest.fixture
def feeds():
    return {"image": np.random.default_rng(0).random((1, 3, 16, 24), np.float32)}


def test_equal_forms_pass(net_l, feeds):
    outputs, result = run(net_l, feeds)
    assert result.unlike == 0 and result.passed
    with backend.OnnxGraph(net_l, as_written=True) as graph:
        for name, expected in graph.run(feeds).items():
            np.testing.assert_array_equal(outputs[name], expected)


def test_one_pixel_of_another_kernel_fails(net_l, feeds, monkeypatch):
    ones = np.float32([[1, 0], [0, 0]]).tobytes(), np.float32([[0, 1], [0, 0]]).tobytes()
    make_lean = backend.make_lean
    monkeypatch.setattr(backend, "make_lean", lambda content: make_lean(content).replace(*ones, 1))
    _, result = run(net_l, feeds)
    assert result.unlike > 0 and not result.passed
    assert f"{result.unlike} values differ in the lean form" in result.problem


def test_values_that_are_not_numbers_are_equal_where_both_have_them(net_l, feeds):
    feeds["image"][0, 0, 5, 6] = np.nan
    outputs, result = run(net_l, feeds)
    assert np.isnan(outputs["f1"]).any() and result.unlike == 0

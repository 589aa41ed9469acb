"""Products of integers are tried, and used only where they are exact."""

import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from spair.runtime.backends import onnxruntime as backend
from spair.runtime.backends import products
from tests.runtime.graphs.test_integers import TABLES, make_graph, make_rows


@pytest.fixture(autouse=True)
def _forgotten():
    products.has_exact_products.cache_clear()
    yield
    products.has_exact_products.cache_clear()


class Session:
    """Stands for a session whose products saturate in 16 bits, or cannot be opened."""

    def __init__(self, content, options, providers):
        self.weights = onnx.numpy_helper.to_array(
            next(tensor for tensor in onnx.load_from_string(content).graph.initializer if tensor.name == "weights")
        ).astype(np.int64)

    def run(self, names, feeds):
        rows = feeds["rows"].astype(np.int64)
        pairs = [
            np.clip(rows[:, place : place + 2] @ self.weights[place : place + 2], -(2**15), 2**15 - 1)
            for place in range(0, rows.shape[1], 2)
        ]
        return [(sum(pairs) - products.ZERO * self.weights.sum(0)).astype(np.float32)]


class NoOperator(Session):
    def __init__(self, *arguments, **options):
        raise RuntimeError("no such operator")


class Wide(Session):
    def run(self, names, feeds):
        return [((feeds["rows"].astype(np.int64) - products.ZERO) @ self.weights).astype(np.float32)]


@pytest.mark.parametrize(("session", "exact"), [(Session, False), (NoOperator, False), (Wide, True)])
def test_products_that_saturate_are_found(monkeypatch, session, exact):
    monkeypatch.setattr(ort, "InferenceSession", session)
    assert products.has_exact_products() is exact


def test_the_trial_runs_on_this_onnx_runtime():
    graph = onnx.load_from_string(products._make_product(np.ones((products.INNER, products.COLUMNS), np.int8)))
    onnx.checker.check_model(graph)
    (sums,) = ort.InferenceSession(graph.SerializeToString()).run(
        None, {"rows": np.full((3, products.INNER), 130, "u1")}
    )
    np.testing.assert_array_equal(sums, np.full((3, products.COLUMNS), 2.0 * products.INNER, np.float32))


@pytest.mark.parametrize("exact", [False, True])
def test_integers_are_multiplied_only_where_that_is_exact(monkeypatch, tmp_path, exact):
    monkeypatch.setattr(backend, "has_exact_products", lambda: exact)
    onnx.save(make_graph(), tmp_path / "packed.onnx")
    with backend.OnnxGraph(tmp_path / "packed.onnx", threads=1, trace=tmp_path) as graph:
        graph.run({"x": make_rows(0), "tables": TABLES})
        events = json.loads(graph.end_trace().read_text())
    used = {event["args"].get("op_name") for event in events if event["cat"] == "Node"}
    assert ("MatMulIntegerToFloat" in used) is exact

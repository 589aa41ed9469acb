"""Models are measured on the same pictures, peers first."""

import contextlib
import types
from pathlib import Path

import numpy as np
import pytest

from spair.training.evaluation.session.run import OpenModel, evaluate_models
from spair.training.evaluation.session.sources import Sources

SOURCES = Sources(Path("a"), Path("b"))


class Kind:
    """Kind of evaluation that notes what is asked of it."""

    def __init__(self):
        self.asked = []

    def check(self, restorer, path):
        self.asked.append(("check", path.name))

    def measure(self, restorer, pairs, *, model, progress, keep):
        self.asked.append(("measure", model, restorer(np.zeros((8, 8, 3))).image.shape, pairs, keep))
        return {"model": model, "images": [1]}

    def publish(self, dataset, split, count):
        return {"count": count}


class Restorer:
    """Foreign network that gives back what it gets."""

    backend, scale, flips = "cpu", 1, 1

    def __call__(self, image, *, threshold=None):
        assert threshold is None
        return types.SimpleNamespace(image=image, mask=None)


def open_one(name, count=None):
    size = {"parameters": count, "multiply_adds": count, "multiply_adds_clean": count}
    return OpenModel(Path(name), Restorer(), size)


class Results:
    """Results that note the pictures and the report."""

    def check_inputs(self, pairs):
        self.pairs = pairs

    def keeper(self, number):
        return number

    def finish(self, report):
        self.report = report


@pytest.fixture
def pairs(monkeypatch):
    monkeypatch.setattr(Sources, "find", lambda self, progress, announce, scale: ["one", "two"])
    return ["one", "two"]


def counter(title):
    return contextlib.nullcontext(lambda *done: None)


def test_peers_are_measured_first_and_all_are_checked_before(pairs):
    kind, results = Kind(), Results()
    models = [open_one(name, count) for count, name in enumerate(("first", "second", "third"))]
    report = evaluate_models(models, SOURCES, kind, results, counter)
    assert kind.asked[:3] == [("check", name) for name in ("first", "second", "third")]
    order = [(model, shape, keep) for _, model, shape, given, keep in kind.asked[3:] if given == pairs]
    assert order == [("second", (8, 8, 3), 1), ("third", (8, 8, 3), 2), ("first", (8, 8, 3), 0)]
    assert report["model"] == "first" and report["images"] == [1] and report["published"] == {"count": 2}
    assert [one.keys() for one in report["compare"]] == [{"model", "cost"}] * 2
    assert [one["model"] for one in report["compare"]] == ["second", "third"]
    costs = [one["cost"] for one in (report, *report["compare"])]
    assert [cost["parameters"] for cost in costs] == [cost["multiply_adds"] for cost in costs] == [0, 1, 2]
    assert all(cost["ms"] > 0.0 for cost in costs)
    assert results.report is report and results.pairs == pairs


def test_a_model_without_peers_has_no_comparison(pairs):
    report = evaluate_models([open_one("first")], SOURCES, Kind(), None, counter)
    assert "compare" not in report and (report["dataset"], report["only"]) == (None, None)

"""Models are measured on the same pictures, peers first."""

import contextlib
from pathlib import Path

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
        self.asked.append(("measure", model, restorer, pairs, keep))
        return {"model": model, "images": [1]}

    def publish(self, dataset, split, count):
        return {"count": count}


class Results:
    """Results that note the report."""

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
    models = [OpenModel(Path(name), name.upper()) for name in ("first", "second", "third")]
    report = evaluate_models(models, SOURCES, kind, results, counter)
    assert kind.asked[:3] == [("check", name) for name in ("first", "second", "third")]
    order = [(model, restorer, keep) for _, model, restorer, given, keep in kind.asked[3:] if given == pairs]
    assert order == [("second", "SECOND", 1), ("third", "THIRD", 2), ("first", "FIRST", 0)]
    assert report["model"] == "first" and report["images"] == [1] and report["published"] == {"count": 2}
    assert report["compare"] == [{"model": "second"}, {"model": "third"}]
    assert results.report is report


def test_a_model_without_peers_has_no_comparison(pairs):
    report = evaluate_models([OpenModel(Path("first"), None)], SOURCES, Kind(), None, counter)
    assert "compare" not in report and (report["dataset"], report["only"]) == (None, None)

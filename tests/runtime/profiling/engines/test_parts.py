"""Net_R is timed under given masks, after its picture was compared with the CPU's."""

from contextlib import contextmanager

import numpy as np
import pytest

from spair.runtime import GateError, Restorer
from spair.runtime.engine.opening import open_engines
from spair.runtime.engine.slot import SlotOptions
from spair.runtime.profiling.cases import RunSetting, make_cases
from spair.runtime.profiling.engines import parts
from spair.runtime.profiling.engines.parts import FeedWatch, measure_curves
from spair.runtime.profiling.engines.runs import Rounds
from spair.runtime.profiling.timing import Repeats
from tests.runtime.engine.conftest import draw

IMAGE = draw(48, 64, dtype=np.float32)


@pytest.fixture
def measure(engine_bundle):
    """Measurement on the engines, with what it does to them."""
    watches = []

    def watch(graph):
        watches.append(FeedWatch.around(graph))
        return watches[-1]

    @contextmanager
    def open_both():
        with (
            Restorer(open_engines(engine_bundle, "fp32").open_network(watch)) as restorer,
            RunSetting(threads=1).open_restorer(engine_bundle, "dense") as baseline,
        ):
            yield restorer, baseline

    def run(cases, gated=True):
        with open_both() as (restorer, baseline):
            return measure_curves(
                restorer, watches[0], baseline, IMAGE, cases, gated=gated, options=SlotOptions(),
                rounds=Rounds.exactly(2), repeats=Repeats(1),
            )  # fmt: skip

    return run


def test_every_shape_has_a_point_for_every_density(measure):
    curves = measure(make_cases(["blob", "streak"], [0.0, 0.1, 1.0], *IMAGE.shape[:2]))
    assert [curve["mask"] for curve in curves] == ["blob", "streak"]
    for curve in curves:
        clean, light, full = curve["points"]
        assert [point["density"] for point in curve["points"]] == [0.0, 0.1, 1.0]
        assert clean["compute_ms"] is None and clean["latency_ms"] is None, "Net_R does not run without a mask"
        assert {"min", "median", "p99"} <= set(light["compute_ms"]) & set(full["latency_ms"])
        for point in curve["points"]:
            assert set(point["cpu_ms"]) == set(point["engine_ms"]) == {"p50", "p90", "p99"}
    assert curves[0]["points"][2] == curves[1]["points"][2], "masks of all pixels have no shape, and are timed once"


def test_the_cross_over_is_where_the_engine_becomes_slower(measure, monkeypatch):
    lead = iter([(1.0, 2.0), (3.0, 2.0)])

    def made_up(runs, repeats):
        return {key: [seconds] for key, seconds in zip(runs, next(lead), strict=True)}

    monkeypatch.setattr(parts, "take_turns", made_up)
    (curve,) = measure(make_cases(["blob"], [0.2, 0.4], *IMAGE.shape[:2]))
    assert curve["crossover_density"] == pytest.approx(0.3)


def spoil(monkeypatch, change):
    run = FeedWatch.run
    monkeypatch.setattr(FeedWatch, "run", lambda self, feeds: {"restored": change(run(self, feeds)["restored"])})


def test_a_picture_that_differs_has_no_times(measure, monkeypatch):
    spoil(monkeypatch, lambda restored: restored + 3 / 255)
    with pytest.raises(GateError, match="blob 0.1: the engines' restoration differs from the dense one .* no times"):
        measure(make_cases(["blob"], [0.1], *IMAGE.shape[:2]))


def test_rounding_is_no_difference(measure, monkeypatch):
    spoil(monkeypatch, lambda restored: restored + 1 / 255)
    assert len(measure(make_cases(["blob"], [0.1], *IMAGE.shape[:2]))) == 1


def test_clean_pixels_are_checked_where_the_network_keeps_them(measure, monkeypatch):
    (case,) = make_cases(["blob"], [0.1], *IMAGE.shape[:2])
    seen = []
    monkeypatch.setattr(parts, "check_clean", lambda *arguments: seen.append(arguments))
    measure([case])
    ((name, image, restored, mask),) = seen
    assert name == "blob 0.1, engines" and mask is case.mask
    assert (image[~mask] == restored[~mask]).all() and (image[mask] != restored[mask]).any()
    measure([case], gated=False)
    assert len(seen) == 1

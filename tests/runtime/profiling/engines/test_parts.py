"""Net_R is timed under given masks, after its picture was compared with the CPU's."""

from contextlib import contextmanager

import numpy as np
import pytest

from spair.runtime import GateError, Restorer
from spair.runtime.engine.opening import open_engines
from spair.runtime.engine.slot import SlotOptions
from spair.runtime.profiling.cases import Case, RunSetting, make_cases
from spair.runtime.profiling.engines import parts
from spair.runtime.profiling.engines.parts import FeedWatch, measure_curves, run_one_piece
from spair.runtime.profiling.engines.runs import Rounds
from spair.runtime.profiling.timing import Repeats
from tests.runtime.engine.pictures import draw

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


@pytest.mark.parametrize("size", [(48, 64), (45, 59), (8, 200)])
def test_the_engine_sees_the_given_mask_in_one_piece(network, size):
    """A restorer would leave out the clean half, and the engine would see another density."""
    watch = FeedWatch.around(network._net_r["dense"])
    network._net_r = {"dense": watch}
    mask = np.zeros(size, bool)
    mask[:, : size[1] // 4] = True
    feeds = run_one_piece(network, watch, draw(*size, dtype=np.float32), mask)
    padded = tuple(side + -side % 8 for side in size)
    assert feeds["mask"].shape == (1, 1, *padded) and feeds["image"].shape == (1, 3, *padded)
    np.testing.assert_array_equal(feeds["mask"][0, 0, : size[0], : size[1]].astype(bool), mask)
    assert run_one_piece(network, watch, draw(*size, dtype=np.float32), np.zeros(size, bool)) is None


def test_pieces_leave_out_what_is_clean(measure, monkeypatch):
    image = draw(512, 64, dtype=np.float32)
    monkeypatch.setattr(f"{__name__}.IMAGE", image)
    mask = np.zeros(image.shape[:2], bool)
    mask[:4] = mask[-4:] = True
    (curve,) = measure([Case("blob", float(mask.mean()), mask)])
    assert curve["points"][0]["pieces"] == 2


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

"""Costs are found from the times that they made, and measured only where there are two paths."""

import itertools

import pytest

from spair.runtime import Bundle, UserError
from spair.runtime.backends.base import Backend
from spair.runtime.cpu.library.ready import find_ready
from spair.runtime.cpu.network import Session
from spair.runtime.profiling import costs
from spair.runtime.profiling.costs import SIDE, _fit, measure_tuning
from spair.runtime.tiling.costs import Tuning
from tests.runtime.bundle.samples import edit

KNOWN = Tuning(dense_ns=3000.0, packed_ns=5000.0, window_ns=100.0, call_ns=1e6)


def test_the_fit_finds_the_costs_that_made_the_times():
    pixels, seconds = SIDE * SIDE, {}
    seconds["small"] = KNOWN.call_ns / 1e9
    seconds["clean"] = KNOWN.packed_cost(pixels, 0.0) / 1e9
    seconds["packed"] = KNOWN.packed_cost(pixels, 0.35 * pixels) / 1e9
    seconds["dense"] = KNOWN.dense_cost(pixels) / 1e9
    fitted = _fit(seconds, 0.35)
    for name in ("dense_ns", "packed_ns", "window_ns", "call_ns"):
        assert getattr(fitted, name) == pytest.approx(getattr(KNOWN, name))


def make_clock(*durations):
    """A clock by which the timed runs take these seconds, whatever else the machine does."""
    readings = itertools.accumulate(itertools.chain.from_iterable((0.0, seconds) for seconds in durations))
    return lambda: next(readings)


def test_measuring_a_real_bundle_gives_usable_costs(tiny_bundle):
    clock = make_clock(0.5, 0.01, 0.03, 0.2)  # dense, small, clean, packed
    tuning = measure_tuning(Bundle.open(tiny_bundle), "fp32", 1, repeats=1, clock=clock)
    assert tuning.call_ns == pytest.approx(1e7)
    assert tuning.dense_ns == pytest.approx(0.49e9 / SIDE**2) and tuning.window_ns == pytest.approx(0.02e9 / SIDE**2)
    assert tuning.packed_ns > 0


def test_the_kernels_are_measured_by_what_they_restore(tiny_bundle, monkeypatch):
    if find_ready() is None:
        pytest.skip("a C++ compiler is not installed")
    seen, restore = [], Session.restore_window

    def watch(session, image, located, context, path):
        restored = restore(session, image, located, context, path)
        clean = located.mask[0, 0] < 0.5
        changed = (restored != image)[0].any(axis=0)
        assert not changed[clean].any() and (changed.any() or clean.all())
        seen.append((image.shape[2], round(1 - float(clean.mean()), 2), path))
        return restored

    monkeypatch.setattr(Session, "restore_window", watch)
    monkeypatch.setattr(costs, "SIDE", 128)
    monkeypatch.setattr(costs, "_PACKED_CASES", {"small": (64, 0.0), "clean": (128, 0.0), "packed": (128, 0.35)})
    clock = make_clock(0.01, 0.03, 0.2, 0.5)  # small, clean, packed, dense
    tuning = measure_tuning(Bundle.open(tiny_bundle), "fp32", 1, backend="cpu", repeats=1, clock=clock)
    once = [(64, 0.0, "packed"), (128, 0.0, "packed"), (128, 0.35, "packed"), (128, 1.0, "packed")]
    assert seen == [case for case in once for _ in range(2)], "once to warm up, once in time"
    assert tuning.packed_ns > 0 and tuning.dense_ns * 128**2 == pytest.approx(0.49e9)


def test_a_bundle_with_one_way_has_nothing_to_measure(bundles):
    with pytest.raises(
        UserError, match="has no fp32 graph net_r_packed; only a bundle with a dense and a packed graph can be tuned"
    ):
        measure_tuning(bundles.spair(), "fp32", 1)
    with pytest.raises(UserError, match="only a bundle with a dense and a packed graph can be tuned"):
        measure_tuning(bundles.other(), "fp32", 1)


@pytest.mark.parametrize("late", ["small", "clean", "packed", "dense"])
def test_times_that_noise_has_turned_round_still_give_costs(late):
    seconds = {name: 2.0 if name == late else 1.0 for name in ("small", "clean", "packed", "dense")}
    fitted = _fit(seconds, 0.35)  # refuses costs that no planner could use
    assert fitted.dense_ns > 0 and fitted.packed_ns > 0 and fitted.window_ns >= 0


class Still:
    """A graph that computes nothing, or fails, and counts how often it was closed."""

    def __init__(self, path, threads, error=None):
        self.name, self.threads, self.error, self.seen, self.closed = path.stem, threads, error, [], 0

    def run(self, feeds):
        self.seen.append(feeds)
        if self.error:
            raise self.error
        return {}

    def close(self):
        self.closed += 1


def measure(monkeypatch, bundle, **options):
    """Measure with graphs that compute nothing; return them."""
    graphs = []

    def open_graph(path, threads):
        graphs.append(Still(path, threads, **options))
        return graphs[-1]

    monkeypatch.setattr(costs, "find_backend", lambda name: Backend(name, lambda: None, open_graph))
    try:
        measure_tuning(bundle, "fp32", 3, repeats=2)
    finally:
        assert graphs
        assert [graph.closed for graph in graphs] == [1] * len(graphs)
    return graphs


def test_each_graph_runs_warm_and_as_often_as_asked_on_what_it_takes(bundles, monkeypatch):
    dense, packed = measure(monkeypatch, bundles.packed(0.5))
    assert (dense.name, packed.name, dense.threads, packed.threads) == ("net_r", "net_r_packed", 3, 3)
    assert (len(dense.seen), len(packed.seen)) == (3, 9), "each case once to warm up and twice in time"
    for feeds in (*dense.seen, *packed.seen):
        side = feeds["image"].shape[3]
        shapes = {"image": (3, side), "mask": (1, side), "f0": (4, side), "f1": (6, side // 2), "f2": (5, side // 4)}
        shapes |= {"scale1": (6, 1), "shift1": (6, 1), "scale2": (5, 1), "shift2": (5, 1)}
        shapes |= {"keys": (5, 4), "key_mask": (1, 4)}
        assert {name: value.shape for name, value in feeds.items()} == {
            name: (1, channels, size, size) for name, (channels, size) in shapes.items()
        }
    densities = [round(float(feeds["mask"].mean()), 2) for feeds in packed.seen]
    assert sorted(set(densities)) == [0.0, 0.35] and dense.seen[0]["mask"].mean() > 0


def test_a_graph_that_fails_is_closed(bundles, monkeypatch):
    with pytest.raises(MemoryError, match="full"):
        measure(monkeypatch, bundles.packed(0.5), error=MemoryError("full"))


def test_a_bundle_that_lists_no_channels_cannot_be_measured(bundles):
    bundle = bundles.packed(0.5)
    network = {**bundle.manifest.raw["network"], "channels": []}
    with pytest.raises(UserError, match="lists no channels of its features; export the bundle again"):
        measure_tuning(Bundle.open(edit(bundle, network=network)), "fp32", 1)

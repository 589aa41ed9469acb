"""Costs cross where both paths cost alike, and impossible ones are refused."""

import pytest

from spair.runtime.tiling.costs import Tuning

KNOWN = Tuning(dense_ns=3000.0, packed_ns=5000.0, window_ns=100.0, call_ns=1e6)


def test_both_ways_cost_the_same_at_the_cross_over():
    pixels = 10_000
    assert KNOWN.packed_cost(pixels, KNOWN.crossover * pixels) == pytest.approx(KNOWN.dense_cost(pixels))
    assert Tuning.assumed(0.4).crossover == pytest.approx(0.4)
    assert Tuning(10.0, 1.0, 0.0, 0.0).crossover == 1.0
    assert Tuning(10.0, 1.0, 20.0, 0.0).crossover == 0.0


@pytest.mark.parametrize(
    "wrong", [{"dense_ns": 0.0}, {"packed_ns": -1.0}, {"call_ns": float("nan")}, {"dense_ns": float("inf")}], ids=str
)
def test_impossible_costs_are_refused(wrong):
    with pytest.raises(ValueError, match="costs must be positive"):
        Tuning(**{"dense_ns": 1.0, "packed_ns": 1.0, "window_ns": 1.0, "call_ns": 1.0, **wrong})


@pytest.mark.parametrize("crossover", [0.01, 0.4, 0.99])
def test_the_cheaper_path_changes_at_the_cross_over(crossover):
    tuning, pixels = Tuning.assumed(crossover), 10_000
    for share, cheaper in ((crossover * 0.99, "packed"), (crossover * 1.01, "dense")):
        costs = {"dense": tuning.dense_cost(pixels), "packed": tuning.packed_cost(pixels, share * pixels)}
        assert min(costs, key=costs.get) == cheaper


@pytest.mark.parametrize(("crossover", "expected"), [(0.0, 0.0), (1.0, 1.0), (10.0, 1.0)])
def test_any_crossover_of_a_manifest_gives_usable_costs(crossover, expected):
    assert Tuning.assumed(crossover).crossover == pytest.approx(expected, abs=1e-6)


def test_calls_and_windows_may_cost_nothing():
    tuning = Tuning(dense_ns=2.0, packed_ns=4.0, window_ns=0.0, call_ns=0.0)
    assert (tuning.dense_cost(0), tuning.packed_cost(8, 0), tuning.packed_cost(8, 2)) == (0, 0, 8)
    assert tuning.crossover == 0.5

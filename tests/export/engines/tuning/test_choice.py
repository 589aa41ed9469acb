"""Tilings are timed together, engine by engine, and the fastest over all masks is taken."""

from __future__ import annotations

import pytest

from spair.export.engines.tuning.choice import FIRST, GAIN, choose_tilings, measure_tilings

NODES = {"a": "wide", "b": "wide", "c": "narrow", "d": "only"}
ALTERNATIVES = {"wide": ["x", "y"], "narrow": ["z"], "only": []}


def test_all_layers_change_together_and_equal_ones_add_up():
    asked = []

    def measure(tilings):
        asked.append(dict(tilings))
        return [{node: factor * (1 + len(asked) + ord(node)) for node in NODES} for factor in (1.0, 10.0)]

    times = measure_tilings(NODES, ALTERNATIVES, measure)
    assert asked == [{}, {"wide": "x", "narrow": "z"}, {"wide": "y"}]
    a, b, c, d = map(ord, NODES)
    assert times == {
        "wide": {
            name: [factor * (2 * (1 + turn) + a + b) for factor in (1, 10)]
            for turn, name in enumerate((FIRST, "x", "y"), 1)
        },
        "narrow": {FIRST: [2 + c, 10 * (2 + c)], "z": [3 + c, 10 * (3 + c)]},
        "only": {FIRST: [2 + d, 10 * (2 + d)]},
    }


def test_a_node_that_an_engine_does_not_report_is_no_time_of_zero():
    with pytest.raises(KeyError, match="c"):
        measure_tilings(NODES, ALTERNATIVES, lambda tilings: [{"a": 1.0, "b": 1.0, "d": 1.0}])


def test_no_layers_need_one_engine_at_most():
    assert measure_tilings({}, {}, lambda tilings: [{}]) == {}


@pytest.mark.parametrize(
    ("tried", "best"),
    [
        ({FIRST: [1.0, 1.0], "x": [0.5, 0.5], "y": [0.4, 0.7]}, "x"),  # 0.25 and 0.28: a product, not a sum
        ({FIRST: [0.01, 10.0], "x": [0.005, 10.1]}, "x"),  # small masks count as much as large ones
        ({FIRST: [1.0, 1.0], "x": [2.0, 0.6]}, None),
        ({FIRST: [1.0, 1.0], "x": [1 - GAIN / 2, 1 - GAIN / 2]}, None),
        ({FIRST: [1.0, 1.0], "x": [1 - 2 * GAIN, 1 - 2 * GAIN]}, "x"),
        ({FIRST: [1.0, 1.0]}, None),
        ({FIRST: [0.0, 1.0], "x": [0.0, 0.5]}, "x"),  # a layer below the clock's step says nothing
        ({FIRST: [0.0], "x": [0.0]}, None),
    ],
)
def test_the_fastest_over_all_masks_is_chosen_where_it_gains_more_than_noise(tried, best):
    assert choose_tilings({"layer": tried}) == ({} if best is None else {"layer": best})

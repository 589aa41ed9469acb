"""Search of the fewest layers that move back, against trying every number of them."""

import math

import pytest

from spair.calibration.accuracy.search import Ladder, descend, rank
from spair.calibration.conversion.layers import Layer
from spair.calibration.conversion.plan import PrecisionPlan

START = PrecisionPlan(
    {"a": "int8", "b": "int8", "c": "int8"}, "fp16", {("a", 0): 0.5}, "both", {"net_r": frozenset("t")}
)


def make_ladder(count: int) -> Ladder:
    names = [f"layer {number}" for number in range(count)]
    return Ladder(PrecisionPlan(dict.fromkeys(names, "int8")), lambda: [(name, "fp16") for name in names])


def count_moved(plan: PrecisionPlan) -> int:
    return sum(kind == "fp16" for kind in plan.layers.values())


class Losses:
    """Loss that falls with each step; it counts how often it was asked."""

    def __init__(self, values: list[float]) -> None:
        self.values, self.asked = values, []

    def __call__(self, plan: PrecisionPlan) -> float:
        self.asked.append(count_moved(plan))
        return self.values[self.asked[-1]]


def test_each_step_moves_one_more_layer_and_changes_nothing_else():
    ladder = Ladder(START, lambda: [("b", "fp16"), ("a", "fp32"), ("b", "fp32")])
    assert ladder.plan(0) is START
    moved = [ladder.plan(step).layers for step in range(1, ladder.steps + 1)]
    assert moved == [
        {"a": "int8", "b": "fp16", "c": "int8"},
        {"a": "fp32", "b": "fp16", "c": "int8"},
        {"a": "fp32", "b": "fp32", "c": "int8"},
    ]
    last = ladder.plan(3)
    assert (last.rest, last.scales, last.quantize, last.full) == (START.rest, START.scales, "both", START.full)
    assert START.layers == {"a": "int8", "b": "int8", "c": "int8"}


def test_moves_are_found_once_and_only_for_a_step():
    asked = []
    ladder = Ladder(START, lambda: asked.append(1) or [("a", "fp16")])
    assert descend(ladder, lambda plan: 0.0, 0.1) == 0 and not asked
    ladder.plan(1), ladder.plan(1), ladder.steps
    assert asked == [1]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 13])
def test_the_fewest_steps_are_found_with_few_measurements(count):
    """Compare with trying every step; a bisection of n steps asks the start and log2(n) others."""
    for first in (0, 1, count // 2, count):
        for least in range(count + 1):
            losses = Losses([1.0 if step < least else 0.1 for step in range(count + 1)])
            found = descend(make_ladder(count), losses, 0.1, first)
            assert found == max(first, least)
            assert len(losses.asked) <= 1 + math.ceil(math.log2(max(1, count - first)))
            assert found in losses.asked or found == count
            assert min(losses.asked) >= first


@pytest.mark.parametrize("first", [0, 2, 5])
def test_all_layers_move_if_no_loss_is_allowed(first):
    assert descend(make_ladder(5), lambda plan: 1.0, 0.1, first) == 5


def test_a_loss_that_is_exactly_allowed_is_allowed():
    assert descend(make_ladder(4), Losses([0.3, 0.2, 0.1, 0.05, 0.0]), 0.1) == 2


def make_layer(name: str, work: float) -> Layer:
    return Layer(name, "net_r", "Conv", (1, 1, 1, 1), (), work)


def test_layers_are_ordered_by_loss_per_work_and_then_by_name():
    layers = [make_layer(name, work) for name, work in (("d", 1), ("b", 4), ("c", 1), ("a", 2), ("e", 8))]
    losses = {"a": 0.4, "b": 0.8, "c": 0.3, "d": 0.0, "e": 0.0}
    order = rank(layers, losses)
    assert order == ("c", "a", "b", "d", "e")
    assert rank(layers[::-1], losses) == order
    assert rank([], {}) == ()

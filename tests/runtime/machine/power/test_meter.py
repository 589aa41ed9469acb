"""Energy follows from samples, and what a meter lacks is not made up."""

import pytest

from spair.runtime.machine.power.meter import Meter, find_energy


def make(counts, *total):
    return Meter("m", "something", dict, counts, total)


def test_watts_are_summed_up_over_uneven_time():
    samples = [(10.0, {"a": 2.0, "b": 1.0}), (11.0, {"a": 4.0, "b": 1.0}), (14.0, {"a": 4.0, "b": 3.0})]
    energy = find_energy(make(False, "a"), samples)
    assert (energy.seconds, energy.readings) == (4.0, 3)
    assert energy.joules == {"a": 3.0 + 12.0, "b": 1.0 + 6.0}
    assert energy.watts == {"a": 3.75, "b": 1.75}


def test_a_counter_needs_its_first_and_last_value_alone():
    samples = [(0.0, {"a": 100.0}), (1.0, {"a": 999.0}), (2.0, {"a": 108.0})]
    assert find_energy(make(True, "a"), samples).joules == {"a": 8.0}


def test_a_rail_that_a_sample_lacks_is_left_out():
    samples = [(0.0, {"a": 1.0, "b": 1.0}), (1.0, {"a": 1.0}), (2.0, {"a": 1.0, "b": 1.0})]
    assert find_energy(make(False, "a"), samples).joules == {"a": 2.0}


@pytest.mark.parametrize(
    ("total", "rails", "whole"),
    [(("a",), {"a": 2.0, "b": 9.0}, 2.0), (("a", "b"), {"a": 2.0, "b": 9.0}, 11.0), (("a",), {"b": 9.0}, None),
     ((), {"a": 2.0}, None)],
)  # fmt: skip
def test_a_sum_is_told_only_where_rails_are_the_whole(total, rails, whole):
    assert make(False, *total).add_up(rails) == whole

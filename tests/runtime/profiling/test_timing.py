"""Ways take turns, stop when they have had enough, and their times are summed up without being made up."""

import pytest

from spair.runtime.profiling.timing import Effort, Repeats, find_crossover, percentiles, take_turns


class FakeClock:
    """A clock that goes on only while something is timed, by durations given in advance."""

    def __init__(self, *durations):
        self.durations, self.now, self.running = list(durations), 0.0, False

    def __call__(self):
        if self.running:
            self.now += self.durations.pop(0)
        self.running = not self.running
        return self.now


def test_functions_take_turns_in_the_order_given():
    order = []
    runs = {name: lambda name=name: order.append(name) for name in "abc"}
    times = take_turns(runs, lambda key: Repeats(2), clock=FakeClock(1, 2, 3, 4, 5, 6))
    assert order == list("abcabc")
    assert times == {"a": [1, 4], "b": [2, 5], "c": [3, 6]}


def test_runs_are_warmed_prepared_and_rotated_outside_of_the_time():
    order, clock = [], FakeClock(1, 2, 3, 4, 5, 6)
    runs = {name: lambda name=name: order.append((name, clock.running)) for name in "abc"}
    times = take_turns(
        runs,
        lambda key: Repeats(2),
        warm_first=True,
        prepare=lambda key: order.append((key.upper(), clock.running)),
        rotate=True,
        clock=clock,
    )
    assert "".join(name for name, _ in order) == "abc" + "AaBbCc" + "BbCcAa"
    assert [running for _, running in order] == 3 * [False] + 6 * [False, True]
    assert times == {"a": [1, 6], "b": [2, 4], "c": [3, 5]}


def test_rotation_passes_over_a_run_that_had_enough():
    order = []
    runs = {name: lambda name=name: order.append(name) for name in "abc"}
    take_turns(runs, lambda key: Repeats(1 if key == "b" else 3), rotate=True)
    assert "".join(order) == "abc" + "ca" + "ca"


def test_a_least_number_of_runs_is_made_however_long_they_take():
    repeats = Repeats(5, seconds=10.0, least=2)
    assert repeats.wants_more([]) and repeats.wants_more([9.0]) and not repeats.wants_more([9.0, 9.0])
    assert not Repeats(1, least=2).wants_more([9.0])


def test_a_function_that_had_enough_sits_out():
    times = take_turns(
        {"long": lambda: None, "short": lambda: None},
        lambda key: Repeats(3, seconds=5.0),
        clock=FakeClock(9, 1, 1, 1),
    )
    assert times == {"long": [9], "short": [1, 1, 1]}


@pytest.mark.parametrize(
    ("times", "more"), [([], True), ([2.0], True), ([2.1], False), ([1.0, 1.0], True), ([0.1] * 3, False)]
)
def test_time_and_number_both_bound_the_runs(times, more):
    assert Repeats(3, seconds=4.0).wants_more(times) is more


def test_so_many_runs_are_so_many_however_long_they_take():
    assert Effort.exactly(2).adaptive.wants_more([1e9]) and not Effort.exactly(2).dense.wants_more([0, 0])


@pytest.mark.parametrize("wrong", [{"most": 0}, {"most": 1, "seconds": -1.0}, {"most": 1, "seconds": float("nan")}])
def test_repeats_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="most must be >= 1"):
        Repeats(**wrong)


def test_results_are_looked_at_outside_of_the_time_and_may_end_it():
    clock, seen = FakeClock(1, 1), []

    def look(key, result):
        seen.append((key, result, clock.running))
        if len(seen) == 2:
            raise RuntimeError("wrong result")

    with pytest.raises(RuntimeError, match="wrong result"):
        take_turns({"a": lambda: 7, "b": lambda: 8}, lambda key: Repeats(5), seen=look, clock=clock)
    assert seen == [("a", 7, False), ("b", 8, False)]


def test_percentiles_are_milliseconds():
    assert percentiles([0.003, 0.001, 0.002]) == {"p50": 2.0, "p90": 2.8, "p99": 2.98}
    assert percentiles([0.5]) == {"p50": 500.0, "p90": 500.0, "p99": 500.0}


@pytest.mark.parametrize(
    ("packed", "crossover"),
    [
        ([1, 3, 7], 0.25),
        ([1, 2, 4], 0.4),
        ([5, 3, 7], 0.25),  # noise at the low end: the last crossing counts
        ([1, 2, 3], None),
        ([7, 8, 9], None),
        ([7, 3, 2], None),
    ],
)
def test_the_crossover_is_where_packed_begins_to_take_longer(packed, crossover):
    assert find_crossover([0.0, 0.2, 0.4], packed, [4, 4, 4]) == (crossover and pytest.approx(crossover))


def test_one_density_has_no_crossover():
    assert find_crossover([0.1], [1], [2]) is None

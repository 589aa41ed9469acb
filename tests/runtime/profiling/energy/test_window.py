"""Energy of runs, on clocks and meters that are made up."""

import threading

import pytest

from spair.runtime.machine.power.meter import Meter
from spair.runtime.profiling.energy.window import Window, rest, spend


class Clock:
    """Clock that only runs of pictures move."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def work(self, seconds):
        self.now += seconds


def test_a_counter_gives_joules_for_each_picture():
    clock = Clock()
    meter = Meter("RAPL", "", lambda: {"package-0": 10 * clock.now}, True, ("package-0",))
    spent = spend([meter], lambda: clock.work(0.6), Window(2.0, clock=clock))
    (entry,) = spent.to_json()
    assert (entry["pictures"], entry["seconds"], entry["readings"]) == (4, 2.4, 2)
    assert entry["joules_per_picture"] == pytest.approx(6.0) and entry["watts"] == pytest.approx(10.0)
    assert entry["rails_joules_per_picture"] == {"package-0": 6.0}


def test_a_picture_that_takes_longer_than_the_window_runs_once():
    clock = Clock()
    meter = Meter("RAPL", "", lambda: {"p": clock.now}, True, ("p",))
    assert spend([meter], lambda: clock.work(9.0), Window(2.0, clock=clock)).pictures == 1


def test_watts_are_sampled_while_pictures_run():
    """A run waits until the meter was read again, by its own thread."""
    clock, readings = Clock(), threading.Semaphore(0)

    def read():
        readings.release()
        return {"VDD_IN": 8.0, "VDD_SOC": 2.0}

    def run():
        assert readings.acquire(timeout=60)
        clock.work(1.0)

    meter = Meter("INA", "", read, False, ("VDD_IN",))
    (entry,) = spend([meter], run, Window(3.0, 0.001, clock)).to_json()
    assert (entry["pictures"], entry["watts"], entry["joules_per_picture"]) == (3, 8.0, 8.0)
    assert entry["readings"] >= 4 and entry["rails_joules_per_picture"]["VDD_SOC"] == 2.0
    assert not [thread for thread in threading.enumerate() if "_sample_until" in thread.name]


def test_where_no_rail_is_the_whole_nothing_is_added_up():
    clock = Clock()
    meter = Meter("INA", "", lambda: {"VDD_GPU_SOC": 4.0}, False)
    (entry,) = spend([meter], lambda: clock.work(2.0), Window(2.0, 60.0, clock)).to_json()
    assert (entry["watts"], entry["joules_per_picture"]) == (None, None)
    assert entry["rails_joules_per_picture"] == {"VDD_GPU_SOC": 8.0}


def test_several_meters_watch_the_same_pictures():
    clock = Clock()
    meters = [Meter(name, "", lambda: {"a": clock.now}, True, ("a",)) for name in ("NVML", "RAPL")]
    entries = spend(meters, lambda: clock.work(1.0), Window(2.0, clock=clock)).to_json()
    assert [(entry["meter"], entry["pictures"]) for entry in entries] == [("NVML", 2), ("RAPL", 2)]


def test_idle_watts_have_no_pictures():
    clock = Clock()
    meter = Meter("RAPL", "", lambda: {"p": 3 * clock.now}, True, ("p",))
    (entry,) = rest([meter], Window(1.0, clock=clock), clock.work).to_json()
    assert (entry["pictures"], entry["watts"], entry["joules_per_picture"]) == (0, 3.0, None)


def test_a_run_that_fails_stops_the_sampling():
    def fail():
        raise ValueError("a bug")

    meter = Meter("INA", "", lambda: {"a": 1.0}, False)
    before = threading.active_count()
    with pytest.raises(ValueError, match="a bug"):
        spend([meter], fail, Window(1.0, 0.001, Clock()))
    assert threading.active_count() == before

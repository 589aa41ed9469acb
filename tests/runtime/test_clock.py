"""Stages add up their seconds, also those that fail."""

import pytest

from spair.runtime import clock as clock_module
from spair.runtime.clock import StageClock, format_seconds


@pytest.fixture
def readings(monkeypatch):
    """Readings that the clock gives one after the other."""
    left: list[float] = []
    monkeypatch.setattr(clock_module.time, "perf_counter", lambda: left.pop(0))
    return left


def test_a_stage_that_is_entered_again_adds_to_its_seconds(readings):
    readings += [10.0, 11.0, 20.0, 22.0, 30.0, 34.0]
    clock = StageClock()
    for name in ("net_r", "net_l", "net_r"):
        with clock.stage(name):
            pass
    assert list(clock.seconds.items()) == [("net_r", 5.0), ("net_l", 2.0)], "in the order of first use"


def test_a_stage_that_fails_is_timed_and_its_error_is_raised(readings):
    readings += [1.0, 4.0]
    clock = StageClock()
    with pytest.raises(KeyError, match="lost"), clock.stage("net_l"):
        raise KeyError("lost")
    assert clock.seconds == {"net_l": 3.0}


def test_a_stage_inside_another_counts_in_both(readings):
    readings += [0.0, 1.0, 3.0, 7.0]
    clock = StageClock()
    with clock.stage("outer"), clock.stage("inner"):
        pass
    assert clock.seconds == {"inner": 2.0, "outer": 7.0}


def test_clocks_do_not_share_their_seconds(readings):
    readings += [0.0, 1.0]
    first, second = StageClock(), StageClock()
    with first.stage("net_l"):
        pass
    assert second.seconds == {}


def test_times_are_short():
    assert [format_seconds(value) for value in (0.4, 89, 90, 3600)] == ["0 s", "89 s", "2 min", "60 min"]

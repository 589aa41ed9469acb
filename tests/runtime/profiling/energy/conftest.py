"""Meters that are made up, and engines on the emulated GPU."""

import pytest

from spair.runtime.machine.power.meter import Meter
from spair.runtime.profiling.energy import report
from spair.runtime.profiling.energy.window import Window
from tests.runtime.engine.conftest import *  # noqa: F403


@pytest.fixture
def meter(monkeypatch):
    """A counter that gains 6 joules whenever it is read; the second value says whether it was closed."""
    joules, closed = iter(range(0, 10**6, 6)), []
    found = Meter(
        "RAPL",
        "the processor",
        lambda: {"package-0": float(next(joules))},
        True,
        ("package-0",),
        lambda: closed.append(1),
    )
    monkeypatch.setattr(report, "find_meters", lambda place: ([found], ["no card"]))
    monkeypatch.setattr(report, "rest", lambda meters, window: report.spend(meters, int, window))
    monkeypatch.setattr(report, "Window", lambda: Window(0.0))
    return found, closed

"""jetson-stats, replaced by a module that answers as its version 7 does."""

import sys
from types import SimpleNamespace

import pytest

from spair.runtime.machine.power.jtop import find_jtop

POWER = {
    "rail": {"VDD_CPU_GPU_CV": {"volt": 5000, "curr": 600, "power": 3000, "avg": 2900}},
    "tot": {"name": "VDD_IN", "power": 9000, "avg": 8900},
}


@pytest.fixture
def service(monkeypatch):
    """Make the module jtop; returns what was called."""

    def make(power, failure=None):
        calls = []

        def start():
            calls.append("start")
            if failure:
                raise failure

        client = SimpleNamespace(start=start, close=lambda: calls.append("close"), power=power)
        monkeypatch.setitem(sys.modules, "jtop", SimpleNamespace(jtop=lambda: client))
        return calls

    return make


def test_rails_and_the_whole_are_read_in_watts(service):
    calls = service(POWER)
    meter = find_jtop()
    assert meter.read() == {"VDD_CPU_GPU_CV": 3.0, "VDD_IN": 9.0} and meter.total == ("VDD_IN",)
    meter.close()
    assert calls == ["start", "close"]


def test_a_sum_of_rails_is_not_taken_for_the_whole(service):
    service({**POWER, "tot": {"power": 3000, "avg": 2900}})
    meter = find_jtop()
    assert meter.read() == {"VDD_CPU_GPU_CV": 3.0} and meter.total == ()


def test_a_service_that_does_not_answer_is_said(service):
    service(POWER, RuntimeError("The jtop.service is not active"))
    assert find_jtop() == "the service of jetson-stats does not answer: The jtop.service is not active"


def test_an_absent_package_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "jtop", None)
    assert find_jtop().startswith("jetson-stats is not installed (")

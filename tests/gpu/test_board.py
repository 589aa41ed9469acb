"""Facts that a real Jetson board tells of itself."""

import subprocess

import pytest

from spair.runtime.machine.board.facts import read_facts
from spair.runtime.machine.board.findings import list_findings
from spair.runtime.machine.board.identity import find_jetson
from spair.runtime.machine.power.rails import find_rails

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def facts():
    board = find_jetson()
    if board is None:
        pytest.skip("this machine is no Jetson board")
    return read_facts(board)


def test_the_board_is_known(facts):
    assert facts.board.model and facts.board.family and facts.board.stack is not None


def test_memory_clocks_and_temperatures_are_read(facts):
    assert facts.memory.total and facts.memory.available
    assert facts.clocks.gpu and facts.clocks.gpu.mhz and facts.clocks.cpu
    assert facts.heat.temperatures and all(0 < value < 120 for value in facts.heat.temperatures.values())


def test_the_power_mode_is_that_of_nvpmodel(facts):
    if facts.board.container:
        pytest.skip("this machine is no Jetson board, but a container on one")
    told = subprocess.run(["nvpmodel", "-q"], capture_output=True, text=True, check=False).stdout
    assert facts.power_mode.name and facts.power_mode.name in told.replace(" ", "_")


def test_rails_have_watts(facts):
    meter = find_rails()
    assert not isinstance(meter, str), meter
    assert all(0 <= watts < 200 for watts in meter.read().values()) and sum(meter.read().values()) > 0


def test_no_finding_is_a_fault_where_the_other_tests_pass(facts):
    assert [finding.sentence for finding in list_findings(facts) if finding.fault] == []

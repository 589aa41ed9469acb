"""Which meters are asked, and what is said of the others."""

import pytest

from spair.runtime.machine.power import choice
from spair.runtime.machine.power.choice import find_meters
from spair.runtime.machine.power.meter import Meter
from tests.runtime.machine.board.trees import ORIN_NANO, write
from tests.runtime.machine.power.test_rapl import TWO

JTOP = Meter("jtop", "", dict, False)


@pytest.fixture(autouse=True)
def others(monkeypatch):
    monkeypatch.setattr(choice, "find_jtop", lambda: JTOP)
    monkeypatch.setattr(choice, "find_nvml", lambda place: f"no card at {place}")


def test_a_board_has_its_own_sensors(tmp_path):
    meters, unknown = find_meters(write(tmp_path, ORIN_NANO))
    assert ([meter.name for meter in meters], unknown) == (["INA"], [])


def test_a_board_without_visible_sensors_asks_jetson_stats(tmp_path):
    files = {name: text for name, text in ORIN_NANO.items() if "hwmon" not in name}
    meters, unknown = find_meters(write(tmp_path, files))
    assert meters == [JTOP] and unknown[0].startswith("no power sensor of a board")


def test_a_server_asks_card_and_processor(tmp_path):
    meters, unknown = find_meters(write(tmp_path, TWO), "0000:01:00.0")
    assert ([meter.name for meter in meters], unknown) == (["RAPL"], ["no card at 0000:01:00.0"])


def test_another_machine_has_none_and_says_why(tmp_path):
    meters, unknown = find_meters(tmp_path)
    assert meters == [] and len(unknown) == 2

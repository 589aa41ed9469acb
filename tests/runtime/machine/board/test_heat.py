"""Temperatures, alerts and counters."""

from spair.runtime.machine.board.heat import Heat, read_heat
from tests.runtime.machine.board.trees import ORIN_NANO, THOR


def test_zones_are_read_in_degrees(board):
    found = read_heat(board(ORIN_NANO))
    assert found == Heat({"cpu": 48.625, "gpu": 49.062, "tj": 49.062}, {"oc1": 0, "oc3": 7}, [])


def test_a_zone_whose_part_is_off_is_left_out(board):
    assert read_heat(board({**THOR, "sys/class/thermal/thermal_zone1/temp": ""})).temperatures == {"cpu": 53.7}


def test_an_alert_is_throttling_and_a_fan_is_not(board):
    hot = {**ORIN_NANO, "sys/class/thermal/cooling_device0/cur_state": "1\n"}
    assert read_heat(board(hot)).throttled == ["gpu-throttle-alert"]


def test_another_machine_has_nothing(tmp_path):
    assert read_heat(tmp_path) == Heat()

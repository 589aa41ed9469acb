"""Sensors of boards, in the folders that they have."""

import pytest

from spair.runtime.machine.power.rails import find_rails
from tests.runtime.machine.board.trees import AGX_ORIN, ORIN_NANO, THOR, contain, monitor, write


@pytest.mark.parametrize(
    ("files", "watts", "whole"),
    [
        (ORIN_NANO, {"VDD_IN": 9.0, "VDD_CPU_GPU_CV": 3.0, "VDD_SOC": 1.5}, ("VDD_IN",)),
        (AGX_ORIN, {"VDD_GPU_SOC": 7.968, "VDD_CPU_CV": 1.992, "VIN_SYS_5V0": 4.5, "VDDQ_VDD2_1V8AO": 1.19232}, ()),
        (THOR, {"VDD_GPU": 3.0, "VDD_CPU_SOC_MSS": 6.6, "VIN_SYS_5V0": 6.5, "VIN": 26.0}, ("VIN",)),
    ],
    ids=["Orin Nano", "AGX Orin", "Thor"],
)
def test_rails_are_read_in_watts(tmp_path, files, watts, whole):
    meter = find_rails(write(tmp_path, files))
    assert meter.read() == pytest.approx(watts) and meter.total == whole
    assert not meter.counts and (f"by its rail {whole[0]}" if whole else "the rails of the board") in meter.scope


def test_a_container_sees_them_too(tmp_path):
    assert find_rails(write(tmp_path, contain(ORIN_NANO))).read()["VDD_IN"] == 9.0


def test_without_sensors_the_reason_is_said(tmp_path):
    assert find_rails(tmp_path) == "no power sensor of a board (INA3221, INA238) is in /sys/class/hwmon"


def test_sensors_without_values_are_no_meter(tmp_path):
    write(tmp_path, {**monitor(1, "ina3221", c1=("VDD_IN", 5000, 1)), "sys/class/hwmon/hwmon1/curr1_input": ""})
    assert find_rails(tmp_path) == "the power sensors in /sys/class/hwmon give no values"


def test_a_sensor_that_fails_later_is_left_out(tmp_path):
    meter = find_rails(write(tmp_path, ORIN_NANO))
    (tmp_path / "sys/class/hwmon/hwmon1/curr2_input").unlink()
    assert set(meter.read()) == {"VDD_IN", "VDD_SOC"}


def test_other_chips_are_no_power_sensors(tmp_path):
    assert isinstance(find_rails(write(tmp_path, monitor(1, "coretemp", c1=("CPU", 1, 1)))), str)

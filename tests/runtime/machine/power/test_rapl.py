"""Energy counters of processors."""

import pytest

from spair.runtime.machine.power.rapl import find_rapl
from tests.runtime.machine.board.trees import write


def zone(name, label, energy, most=262143328850):
    folder = f"sys/class/powercap/{name}"
    files = {f"{folder}/name": f"{label}\n", f"{folder}/max_energy_range_uj": f"{most}\n"}
    return files if energy is None else {**files, f"{folder}/energy_uj": f"{energy}\n"}


TWO = {
    **zone("intel-rapl:0", "package-0", 5_000_000),
    **zone("intel-rapl:0:0", "dram", 1_000_000),
    **zone("intel-rapl:1", "package-1", 7_000_000),
    **zone("intel-rapl:2", "psys", 20_000_000),
}


def test_packages_are_read_in_joules_and_parts_are_left_out(tmp_path):
    meter = find_rapl(write(tmp_path, TWO))
    assert meter.counts and meter.read() == {"package-0": 5.0, "package-1": 7.0, "psys": 20.0}
    assert meter.total == ("package-0", "package-1") and meter.scope == "2 processors, without memory"


def test_a_counter_that_begins_again_goes_on(tmp_path):
    write(tmp_path, zone("intel-rapl:0", "package-0", 9_000_000, most=9_999_999))
    meter, file = find_rapl(tmp_path), tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj"
    found = []
    for value in (9_000_000, 1_000_000, 2_000_000, 500_000):
        file.write_text(f"{value}\n")
        found.append(meter.read()["package-0"])
    assert found == pytest.approx([9.0, 11.0, 12.0, 20.5])


def test_counters_for_root_alone_are_said(tmp_path):
    """Root may read every file, so one is left out in place of being locked."""
    words = find_rapl(write(tmp_path, zone("intel-rapl:0", "package-0", None)))
    assert words.endswith("are for root alone: sudo chmod a+r /sys/class/powercap/*/energy_uj")


def test_without_counters_the_reason_is_said(tmp_path):
    assert find_rapl(tmp_path) == "this system has no energy counters of a processor (RAPL) in /sys/class/powercap"

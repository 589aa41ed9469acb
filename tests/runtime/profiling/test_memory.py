"""Peak memory is that of a process that does nothing else."""

import re
import subprocess
import sys

import numpy as np
import pytest

from spair.runtime.profiling import memory as peak

IMAGE = np.full((24, 40, 3), 200, np.uint8)


def test_a_fresh_process_is_measured_not_this_one(bundles):
    ballast = np.ones(400 * 2**20, np.uint8)
    found = peak.measure_peak_memory(bundles.spair().path, IMAGE, precision="fp32", threads=1, tile=None).mb
    assert 20 < found < peak.read_peak_memory() and ballast.nbytes / 2**20 < peak.read_peak_memory()


def test_a_larger_picture_takes_more(bundles):
    path = bundles.spair().path
    small, large = (
        peak.measure_peak_memory(path, np.zeros((side, side, 3), np.uint8), precision="fp32", threads=1, tile=64).mb
        for side in (16, 1500)
    )
    assert large > small + 10


def measure_nothing(folder):
    return peak.measure_peak_memory(folder / "none", IMAGE, precision="fp32", threads=1, tile=None)


def test_a_process_that_fails_is_a_reason_with_its_last_words(tmp_path):
    found = measure_nothing(tmp_path)
    assert found.mb is None and re.search(r"the process failed: .*none: it does not exist", found.failure)


def test_a_process_that_the_system_ended_is_a_reason_too(tmp_path, monkeypatch):
    killed = subprocess.CompletedProcess([], -9, "", "")
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: killed)
    assert measure_nothing(tmp_path) == (None, "the process was ended by signal 9; 9 is sent when memory runs out")


def test_no_room_for_a_process_is_a_reason_too(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(subprocess, "run", fail)
    found = measure_nothing(tmp_path)
    assert found.mb is None and found.failure.endswith("cannot be started: [Errno 12] Cannot allocate memory")


def test_the_high_water_mark_is_read_where_the_system_tells_it(tmp_path):
    (tmp_path / "status").write_text("Name:\tpython\nVmPeak:\t 999 kB\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n")
    assert peak.read_peak_memory(tmp_path / "status") == 2.0


@pytest.mark.parametrize(("system", "unit"), [("linux", 2**10), ("darwin", 2**20)])
def test_elsewhere_the_resource_usage_is(tmp_path, monkeypatch, system, unit):
    resource = pytest.importorskip(
        "resource", reason="Windows has no resource usage to fall back on; Linux, where CI runs, has"
    )
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(resource, "getrusage", lambda who: type("Usage", (), {"ru_maxrss": 3 * unit}))
    assert peak.read_peak_memory(tmp_path / "absent") == 3.0

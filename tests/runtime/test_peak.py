"""Peak memory is that of a process that does nothing else."""

import sys

import numpy as np
import pytest

from spair.runtime import peak

IMAGE = np.full((24, 40, 3), 200, np.uint8)


def test_a_fresh_process_is_measured_not_this_one(bundles):
    ballast = np.ones(400 * 2**20, np.uint8)
    found = peak.measure_peak_memory(bundles.spair().path, IMAGE, precision="fp32", threads=1, tile=None)
    assert 20 < found < peak.read_peak_memory() and ballast.nbytes / 2**20 < peak.read_peak_memory()


def test_a_larger_picture_takes_more(bundles):
    path = bundles.spair().path
    small, large = (
        peak.measure_peak_memory(path, np.zeros((side, side, 3), np.uint8), precision="fp32", threads=1, tile=64)
        for side in (16, 1500)
    )
    assert large > small + 10


def test_a_process_that_fails_is_an_error_with_its_last_words(tmp_path):
    with pytest.raises(MemoryError, match=r"a process that restores one picture of .*none failed: .*does not exist"):
        peak.measure_peak_memory(tmp_path / "none", IMAGE, precision="fp32", threads=1, tile=None)


def test_the_high_water_mark_is_read_where_the_system_tells_it(tmp_path):
    (tmp_path / "status").write_text("Name:\tpython\nVmPeak:\t 999 kB\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n")
    assert peak.read_peak_memory(tmp_path / "status") == 2.0


@pytest.mark.parametrize(("system", "unit"), [("linux", 2**10), ("darwin", 2**20)])
def test_elsewhere_the_resource_usage_is(tmp_path, monkeypatch, system, unit):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(resource, "getrusage", lambda who: type("Usage", (), {"ru_maxrss": 3 * unit}))
    assert peak.read_peak_memory(tmp_path / "absent") == 3.0

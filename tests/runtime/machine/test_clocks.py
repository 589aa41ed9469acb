"""Clocks come from nvidia-smi or the driver, and are not known where neither tells."""

import subprocess

import pytest

from spair.runtime.machine import clocks
from spair.runtime.machine.clocks import Clocks, read_clocks
from tests.emulated.fixtures import *  # noqa: F403

DRIVER = """
#include <string.h>
int cuInit(unsigned flags) {{ return {init}; }}
int cuDeviceGetPCIBusId(char *name, int size, int device) {{ strncpy(name, "0000:65:00.0", size); return {place}; }}
int cuDeviceGetAttribute(int *value, int which, int device) {{
    *value = which == 13 ? {rate} : which == 36 ? 6001000 : -1;
    return 0;
}}
"""


@pytest.fixture
def make_driver(tmp_path):
    def make(init=0, place=0, rate=1410000):
        stem = tmp_path / f"driver-{init}-{place}-{rate}"  # a library is loaded once under each name
        stem.with_suffix(".c").write_text(DRIVER.format(init=init, place=place, rate=rate))
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", f"{stem}.so", f"{stem}.c"], check=True)
        return f"{stem}.so"

    return make


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Writer of a program that is found as nvidia-smi; it keeps its arguments."""

    def write(lines):
        file = tmp_path / "program"
        file.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n{lines}\n')
        file.chmod(0o755)
        monkeypatch.setattr(clocks.shutil, "which", {"nvidia-smi": str(file)}.get)
        return tmp_path / "asked"

    return write


def test_the_program_tells_the_present_clocks_of_the_gpu_at_hand(make_driver, program):
    driver = make_driver()
    asked = program("echo '1305, 1593, 1410, 6001, 41'")
    assert read_clocks(driver) == Clocks("nvidia-smi", 1305.0, 1593.0, 1410.0, 6001.0, 41.0)
    words = asked.read_text().split()
    assert "--id=0000:65:00.0" in words and "--format=csv,noheader,nounits" in words
    assert words[0] == "--query-gpu=clocks.gr,clocks.mem,clocks.max.gr,clocks.max.mem,temperature.gpu"


def test_a_clock_that_is_not_available_is_none(make_driver, program):
    driver = make_driver()
    program("echo '1305, [N/A], 1410, [Not Supported], 41'")
    assert read_clocks(driver) == Clocks("nvidia-smi", 1305.0, None, 1410.0, None, 41.0)


@pytest.mark.parametrize(
    "lines", ["exit 9", "echo no devices", "echo '[N/A], [N/A], [N/A], [N/A], [N/A]'", "exec sleep 5"]
)
def test_a_program_that_says_nothing_leaves_it_to_the_driver(make_driver, program, lines, monkeypatch):
    monkeypatch.setattr(clocks, "SECONDS", 0.2)
    driver = make_driver()
    program(lines)
    assert read_clocks(driver) == Clocks("driver", None, None, 1410.0, 6001.0)


def test_without_a_place_the_program_is_not_asked(make_driver, program):
    driver = make_driver(place=1)
    asked = program("echo '1305, 1593, 1410, 6001, 41'")
    assert read_clocks(driver).source == "driver" and not asked.exists()


def test_a_rate_of_nothing_is_not_known(make_driver, monkeypatch):
    monkeypatch.setattr(clocks.shutil, "which", lambda name: None)
    assert read_clocks(make_driver(rate=0)) == Clocks("driver", most_memory_mhz=6001.0)
    assert read_clocks(make_driver(init=100)) == Clocks()


def test_nothing_is_known_without_a_driver():
    assert read_clocks("libabsent.so.1") == Clocks()


def test_the_emulated_gpu_tells_no_clocks(gpu, monkeypatch):
    monkeypatch.setattr(clocks.shutil, "which", lambda name: None)
    assert read_clocks() == Clocks()

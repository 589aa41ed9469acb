"""The driver is asked from another process, in a library that a test compiles."""

import shutil
import subprocess

import pytest

from spair.runtime.machine.driver import probe_driver
from spair.runtime.machine.probes import Probe

SOURCE = """
int cuDriverGetVersion(int *version) {{ *version = 12060; return 0; }}
int cuInit(unsigned flags) {{ {init} }}
int cuDeviceGetCount(int *count) {{ *count = {count}; return 0; }}
"""


@pytest.fixture
def driver(tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed; on Debian and Ubuntu: apt-get install gcc")

    def compile_driver(init="return 0;", count=1):
        path = tmp_path / "libcuda.so.1"
        source = SOURCE.format(init=init, count=count).encode()
        subprocess.run(["gcc", "-x", "c", "-shared", "-fPIC", "-w", "-", "-o", str(path)], input=source, check=True)
        return probe_driver(str(path))

    return compile_driver


def test_version_and_number_of_gpus_are_read(driver):
    assert driver(count=2) == (Probe(True, "CUDA 12.6", None), Probe(True, "2", None))


def test_a_driver_without_gpus_says_where_to_look(driver):
    own, gpus = driver(count=0)
    assert own.ok and not gpus.ok and "lspci | grep -i nvidia" in gpus.reason


@pytest.mark.parametrize(
    ("error", "words"),
    [(34, "stub"), (100, "finds no GPU"), (802, "fabricmanager"), (803, "reboot"), (804, "compat"), (77, "error 77")],
)
def test_errors_of_the_driver_are_sentences(driver, error, words):
    own, gpus = driver(init=f"return {error};")
    assert own == Probe(True, "CUDA 12.6", None) and not gpus.ok and words in gpus.reason


def test_a_driver_that_crashes_takes_nobody_along(driver):
    own, gpus = driver(init="return *(volatile int *)0;")
    assert not own.ok and not gpus.ok and "its import crashed (SIGSEGV)" in own.reason


def test_an_absent_driver_says_how_to_get_it(tmp_path):
    own, gpus = probe_driver(str(tmp_path / "libcuda.so.1"))
    assert (own.ok, gpus.ok) == (False, False)
    assert own.reason.startswith("there is no NVIDIA driver: install it with sudo ubuntu-drivers install")
    assert "--gpus all" in own.reason and "without a driver" in gpus.reason


def test_a_damaged_driver_is_not_called_absent(tmp_path):
    (tmp_path / "libcuda.so.1").write_text("no library")
    own, _ = probe_driver(str(tmp_path / "libcuda.so.1"))
    assert "does not load" in own.reason and "file too short" in own.reason

"""The GPU of a machine, told by a driver that a test compiles; none of this needs one."""

import shutil
import subprocess

import pytest

from spair.export.engines import builder as engine_module
from spair.export.engines.builder import builder_of, find_target_device
from spair.plugins.compiler.targets import find_target
from spair.runtime.errors import UserError
from spair.runtime.machine import gpu
from spair.runtime.machine.gpu import Device, find_device

SOURCE = """
#include <string.h>
int cuInit(unsigned flags) {{ return {init}; }}
int cuDeviceGet(int *device, int ordinal) {{ *device = 40 + ordinal; return 0; }}
int cuDeviceGetName(char *name, int length, int device) {{ strncpy(name, "NVIDIA L4", length); return device != 40; }}
int cuDeviceGetAttribute(int *value, int which, int device) {{
    *value = which == 75 ? 8 : which == 76 ? 9 : -1;
    return device != 40;
}}
int cuDriverGetVersion(int *version) {{ *version = 12060; return 0; }}
"""
L4 = Device("NVIDIA L4", 89, (12, 6))


def make_driver(folder, init=0) -> str:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed; on Debian and Ubuntu: apt-get install gcc")
    path = str(folder / "libcuda.so.1")
    source = SOURCE.format(init=init).encode()
    subprocess.run(["gcc", "-x", "c", "-shared", "-fPIC", "-", "-o", path], input=source, check=True)
    return path


def test_name_capability_and_driver_are_read(tmp_path):
    assert find_device(make_driver(tmp_path)) == L4
    assert str(L4) == "NVIDIA L4 with a driver of CUDA 12.6"


def test_without_a_driver_or_a_gpu_one_sentence_says_so(tmp_path):
    with pytest.raises(UserError, match="there is no NVIDIA driver on this machine .*absent"):
        find_device(str(tmp_path / "absent.so"))
    with pytest.raises(UserError, match="finds no GPU: cuInit gives the error 100"):
        find_device(make_driver(tmp_path, init=100))


@pytest.fixture
def tensorrt(monkeypatch):
    """As if TensorRT were installed, on the processor of servers."""
    monkeypatch.setattr(engine_module.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(engine_module.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(engine_module, "_version", lambda package, name: "10.9")


def test_tensorrt_builds_for_the_gpu_at_hand_alone(tensorrt, monkeypatch):
    monkeypatch.setattr(engine_module, "find_device", lambda: L4)
    assert builder_of(find_target("l4")) == ("tensorrt", "10.9")
    assert find_target_device(find_target("l4")) == L4
    words = "this machine's NVIDIA L4 has compute capability 8.9, expected 10.0 or 12.0"
    with pytest.raises(UserError, match=f"engines for blackwell are built on the target itself: {words}"):
        builder_of(find_target("blackwell"))


def test_tensorrt_without_a_gpu_is_no_builder(tensorrt, monkeypatch):
    def fail():
        raise UserError("there is no NVIDIA driver on this machine")

    monkeypatch.setattr(engine_module, "find_device", fail)
    with pytest.raises(UserError, match="engines for l4 are built on the target itself: there is no NVIDIA driver"):
        builder_of(find_target("l4"))
    assert builder_of(find_target("rtx"))[0] == "tensorrt_rtx", "built ahead of time"
    assert find_target_device(find_target("rtx")) is None


class Driver:
    """libcuda with `count` GPUs, or an error."""

    def __init__(self, count=0, error=0):
        self.count, self.error = count, error

    def cuInit(self, flags):  # noqa: N802
        return self.error

    def cuDeviceGetCount(self, pointer):  # noqa: N802
        pointer._obj.value = self.count
        return 0

    def cuDeviceGet(self, pointer, index):  # noqa: N802
        return 0

    def cuDeviceGetName(self, name, length, device):  # noqa: N802
        name.value = b"Some GPU"
        return 0


@pytest.mark.parametrize(
    ("driver", "gpus", "reason"),
    [
        (Driver(2), ["Some GPU", "Some GPU"], None),
        (Driver(0), [], "there is no NVIDIA GPU"),
        (Driver(error=100), [], r"found no usable GPU (CUDA error 100)"),
        (None, [], "libcuda.so.1 is missing"),
    ],
)
def test_gpus_are_asked_of_the_driver(monkeypatch, driver, gpus, reason):
    def load(name):
        if driver is None:
            raise OSError(name)
        return driver

    monkeypatch.setattr(gpu.ctypes, "CDLL", load)
    found, why = gpu.list_gpus()
    assert found == gpus
    assert why is None if reason is None else reason in why

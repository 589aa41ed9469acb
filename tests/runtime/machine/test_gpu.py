"""The GPU of a machine, told by a driver that a test compiles; none of this needs one."""

import ctypes
import shutil
import subprocess

import pytest

from spair.runtime.errors import UserError
from spair.runtime.machine import gpu
from spair.runtime.machine.gpu import Device, find_device, read_free_memory

SOURCE = """
#include <stddef.h>
#include <string.h>
static int contexts = 0, pushed = 0;
int cuInit(unsigned flags) {{ return {init}; }}
int cuDeviceGet(int *device, int ordinal) {{ *device = 40 + ordinal; return 0; }}
int cuDeviceGetName(char *name, int length, int device) {{ strncpy(name, "{name}", length); return device != 40; }}
int cuDeviceGetAttribute(int *value, int which, int device) {{
    *value = which == 75 ? 8 : which == 76 ? {minor}
        : which == 16 ? {multiprocessors} : which == 18 ? {integrated} : -1;
    return device != 40;
}}
int cuDeviceTotalMem_v2(size_t *bytes, int device) {{ *bytes = (size_t){memory} << 30; return device != 40; }}
int cuDriverGetVersion(int *version) {{ *version = 12060; return 0; }}
int cuDevicePrimaryCtxRetain(void **context, int device) {{ *context = &contexts; contexts++; return device != 40; }}
int cuDevicePrimaryCtxRelease_v2(int device) {{ contexts--; return 0; }}
int cuCtxPushCurrent_v2(void *context) {{ pushed++; return context != &contexts; }}
int cuCtxPopCurrent_v2(void **context) {{ pushed--; return 0; }}
int cuMemGetInfo_v2(size_t *free, size_t *total) {{
    *free = (size_t)3 << 30;
    *total = (size_t){memory} << 30;
    return pushed == 1 ? {query} : 201;
}}
int left_behind(void) {{ return contexts + pushed; }}
"""
CARD = {
    "init": 0, "name": "NVIDIA L4", "minor": 9, "multiprocessors": 58, "memory": 22, "integrated": 0, "query": 0,
}  # fmt: skip
L4 = Device("NVIDIA L4", 89, (12, 6), 58, 22 << 30)
ORIN = {"name": "Orin", "minor": 7, "integrated": 1}


def make_driver(folder, **card: object) -> str:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed; on Debian and Ubuntu: apt-get install gcc")
    path = str(folder / "libcuda.so.1")
    source = SOURCE.format(**{**CARD, **card}).encode()
    subprocess.run(["gcc", "-x", "c", "-shared", "-fPIC", "-", "-o", path], input=source, check=True)
    return path


def test_facts_about_the_gpu_are_read(tmp_path):
    assert find_device(make_driver(tmp_path)) == L4
    assert str(L4) == "NVIDIA L4 of compute capability 8.9 with 58 multiprocessors and 22 GiB"


def test_boards_of_one_name_are_told_apart(tmp_path):
    boards = []
    for multiprocessors, memory in ((8, 7), (16, 62)):
        folder = tmp_path / str(memory)
        folder.mkdir()
        boards.append(find_device(make_driver(folder, **ORIN, multiprocessors=multiprocessors, memory=memory)))
    nano, agx = boards
    assert nano.name == agx.name == "Orin" and nano.integrated and agx.integrated
    assert str(nano) == "Orin of compute capability 8.7 with 8 multiprocessors and 7 GiB"
    assert str(agx) == "Orin of compute capability 8.7 with 16 multiprocessors and 62 GiB"


@pytest.mark.parametrize("query", [0, 2])
def test_free_memory_is_asked_in_a_context_that_is_given_back(tmp_path, query):
    path = make_driver(tmp_path, query=query)
    if query:
        with pytest.raises(UserError, match="cuMemGetInfo_v2 gives the error 2"):
            read_free_memory(path)
    else:
        assert read_free_memory(path) == 3 << 30
    assert ctypes.CDLL(path).left_behind() == 0


def test_without_a_driver_or_a_gpu_one_sentence_says_so(tmp_path):
    with pytest.raises(UserError, match="there is no NVIDIA driver on this machine .*absent"):
        find_device(str(tmp_path / "absent.so"))
    with pytest.raises(UserError, match="finds no GPU: cuInit gives the error 100"):
        find_device(make_driver(tmp_path, init=100))
    with pytest.raises(UserError, match="there is no NVIDIA driver on this machine .*absent"):
        read_free_memory(str(tmp_path / "absent.so"))


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

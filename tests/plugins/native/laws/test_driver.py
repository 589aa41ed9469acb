"""Drivers that a process opens late, or that throw, in child processes of their own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.plugins.emulated.conftest import harness  # noqa: F401
from tests.plugins.native.fakes import run_child

ATTACH = """
import ctypes, sys
from tests.plugins.emulated import tensorrt as trt
library, harness = [ctypes.CDLL(path) for path in sys.argv[1:]]
for name in ("find_creator", "create", "attach"):
    getattr(harness, name).restype = ctypes.c_void_p
harness.take_messages.restype = ctypes.c_char_p
creator = ctypes.c_void_p(harness.find_creator(ctypes.c_void_p(library._handle), b"MaskedModulation"))
field, data = trt.make_field("kinds", [0, 8, 4, 0, 0, 1, 0, 8, 4])
plugin = ctypes.c_void_p(harness.create(creator, (trt.PluginField * 1)(field), 1, trt.RUNTIME))
print(harness.attach(plugin) is not None, hasattr(ctypes.CDLL(None), "cuCtxGetCurrent"))
print(harness.take_messages().decode(), end="")
"""
"""Attaches a plugin; prints whether it was, whether the driver's symbols are everyone's now, and what was logged."""


NAMES = (
    *("cuGetErrorString", "cuCtxGetDevice", "cuDeviceGetAttribute", "cuThreadExchangeStreamCaptureMode"),
    *("cuModuleLoadData", "cuModuleGetFunction", "cuFuncSetAttribute", "cuMemsetD8Async", "cuLaunchKernel"),
)


def attach_with(first_call: str, tmp_path: Path, library: Path, harness: Path) -> list[str]:  # noqa: F811
    """Attach a plugin under a driver made up of failures; the first thing that a plugin calls has a body of its own."""
    source = "#include <stdexcept>\n" + "".join(f'extern "C" int {name}() {{ return 1; }}\n' for name in NAMES)
    source += f'extern "C" int cuCtxGetCurrent(void**) {{ {first_call} }}\n'
    path = tmp_path / "libcuda.so.1"
    command = ["g++", "-x", "c++", "-shared", "-fPIC", "-", "-Wl,-soname,libcuda.so.1", "-o", str(path)]
    subprocess.run(command, input=source.encode(), check=True)
    done = run_child(ATTACH, library, harness, environment={"LD_LIBRARY_PATH": str(tmp_path)})
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_the_driver_that_the_library_opens_stays_its_own(plugins, harness, tmp_path):  # noqa: F811
    attached, logged = attach_with("return 1;", tmp_path, plugins.path, harness)
    assert logged == "MaskedModulation: finding the CUDA context failed: CUDA error 1", "the library opened the driver"
    assert attached == "False False"


@pytest.mark.parametrize(
    ("thrown", "words"),
    [("42", "something threw an exception of an unknown kind"), ('std::runtime_error("lost")', "lost")],
)
def test_what_the_driver_throws_ends_in_a_sentence(plugins, harness, tmp_path, thrown, words):  # noqa: F811
    lines = attach_with(f"throw {thrown};", tmp_path, plugins.path, harness)
    assert lines == ["False False", f"MaskedModulation: {words}"]

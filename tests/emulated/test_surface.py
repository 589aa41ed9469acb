"""The double has nothing that NVIDIA's bindings lack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from tests.emulated.double.module import make_module
from tests.emulated.fixtures import BINDINGS, VERSION
from tests.emulated.library.building import build_libraries
from tests.emulated.library.surface import find_differences, split_arguments
from tests.emulated.setup.bindings_wheel import RELEASES, DownloadError, find_bindings
from tests.emulated.setup.pycuda_wheel import BuildError

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(BINDINGS in os.environ, reason=f"compares the double; runs without ${BINDINGS}")


def read(name):
    """Return the surface of a release."""
    release = RELEASES[name]
    try:
        folder, libraries = find_bindings(release), build_libraries(release.flavour)
    except (DownloadError, BuildError) as error:
        pytest.skip(str(error))
    command = [sys.executable, "-m", "tests.emulated.library.surface", str(folder), release.package]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(libraries)}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", RELEASES)
def test_the_double_has_nothing_that_the_real_bindings_lack(gpu, device, setup, name):
    real, double = read(name), make_module(gpu, VERSION)
    with device.current():
        runtime = double.Runtime(double.Logger())
        engine = runtime.deserialize_cuda_engine(setup.plan)
        instances = {"Runtime": runtime, "ICudaEngine": engine, "EngineInspector": engine.create_engine_inspector()}
        instances["IExecutionContext"] = engine.create_execution_context()
        found = find_differences(real, double, instances)
        instances.clear()
        del engine
    assert not found, "\n".join(found)


def test_the_comparison_finds_what_is_too_much():
    class IExecutionContext:
        def execute_async_v3(self, stream):
            pass

        def enqueue_v3(self):
            pass

        name = "too much"

    double = types.SimpleNamespace(IExecutionContext=IExecutionContext, ITensorRT=type("ITensorRT", (), {}), nothing=1)
    found = find_differences(read("10.3"), double, {})
    assert [line.partition(",")[0] for line in found] == [
        "IExecutionContext.enqueue_v3",
        "IExecutionContext.execute_async_v3(stream)",
        "class ITensorRT",
        "nothing",
    ]


def test_arguments_are_split_outside_of_brackets():
    text = "self: trt.Engine, names: Dict[str, Tuple[int, int]], run: Callable[[int], int] = <a, b>, handle: int = 0"
    assert split_arguments(text) == ["names", "run", "handle"]

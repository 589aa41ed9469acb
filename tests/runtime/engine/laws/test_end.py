"""Restorers that nobody closed are closed in order, by the collector of garbage or at the end of the process."""

import gc
import subprocess
import sys
import textwrap

import pytest

from spair.runtime import Restorer
from tests.architecture.tree import ROOT
from tests.runtime.engine.pictures import draw

CODE = """
import atexit
import sys


def report():
    print(gpu.problems, gpu.live(), gpu.raised)


atexit.register(report)  # before anything else, so it is called last
sys.path.insert(0, {root!r})
import numpy as np
from tests.emulated.driver.gpu import load_gpu
from tests.emulated.setup.pycuda_wheel import find_pycuda
from tests.emulated.double.module import make_module
gpu = load_gpu()
sys.path.insert(0, str(find_pycuda()))
sys.modules["tensorrt"] = trt = make_module(gpu, {version!r})
from tests.runtime.engine.conftest import OneLibrary
trt.Runtime._world.libraries = OneLibrary()

from spair.runtime import Restorer
restorer = Restorer.open({bundle!r}, backend="tensorrt")
for _ in range(4):
    restorer(np.full((24, 32, 3), 200, np.uint8))
restorer(np.full((24, 32, 3), 200, np.uint8), mask=np.ones((24, 32), bool))
{last}
"""


def test_garbage_is_closed_with_the_context_current(gpu, engine_bundle):
    restorer = Restorer.open(engine_bundle.path, backend="tensorrt")
    restorer(draw(24, 32))
    del restorer
    gc.collect()
    assert gpu.live() == {} and gpu.problems == []


@pytest.mark.parametrize("last", ["pass", "raise SystemExit(0)", "del restorer"])
def test_the_end_of_a_process_closes_what_is_open(engine_bundle, trt, last):
    if not hasattr(trt.Runtime, "_world"):
        pytest.skip("the child runs on the double, whose version the engines have only there")
    code = textwrap.dedent(CODE).format(
        root=str(ROOT), version=trt.__version__, bundle=str(engine_bundle.path), last=last
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[] {} []"), done.stderr
    assert "Traceback" not in done.stderr and "clean-up operation failed" not in done.stderr

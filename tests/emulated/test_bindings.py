"""NVIDIA's real bindings work on our libnvinfer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.emulated.fixtures import BINDINGS
from tests.emulated.setup.opening import SIZE

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(
    BINDINGS not in os.environ, reason=f"real bindings need ${BINDINGS}; test_real_bindings.py runs this so"
)


@pytest.fixture
def engine(device, trt, setup):
    with device.current():
        yield trt.Runtime(trt.Logger(trt.Logger.ERROR)).deserialize_cuda_engine(setup.plan)


def test_the_package_is_the_real_one(engine):
    assert type(engine).__module__.startswith(("tensorrt_bindings", "tensorrt_rtx_bindings"))


@pytest.mark.parametrize("kind", [tuple, list, "Dims"])
def test_shapes_are_tuples_lists_or_dims(engine, trt, kind):
    context = engine.create_execution_context()
    make = trt.Dims if kind == "Dims" else kind
    assert context.set_input_shape("image", make((1, 3, 8, 8)))
    assert tuple(context.get_tensor_shape("restored")) == (1, 3, 8, 8)
    assert not context.set_input_shape("image", (1, 3, 8))


def test_arguments_have_the_names_of_the_documentation(engine):
    context = engine.create_execution_context()
    assert context.set_tensor_address(name="image", memory=256)
    with pytest.raises(TypeError):
        context.set_tensor_address(name="image", address=256)
    with pytest.raises(TypeError):
        context.set_tensor_address("image", np.zeros(1))


def test_missing_shapes_are_named(engine):
    context = engine.create_execution_context()
    assert context.infer_shapes() == ["image"]
    assert context.set_input_shape("image", (1, 3, *SIZE)) and context.infer_shapes() == []


def test_a_context_keeps_its_engine_and_runtime(device, trt, setup):
    with device.current():
        engine = trt.Runtime(trt.Logger(trt.Logger.ERROR)).deserialize_cuda_engine(setup.plan)
        context = engine.create_execution_context()
        del engine
        assert context.set_input_shape("image", (1, 3, 8, 8))
        del context


def test_a_runtime_of_rtx_says_whether_an_engine_fits(trt, setup):
    if not hasattr(trt.Runtime, "get_engine_validity"):
        pytest.skip("TensorRT-RTX alone has it")
    runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
    assert runtime.get_engine_validity(setup.plan) == (trt.EngineValidity.VALID, 0)
    other = setup.plan[:24] + b"\x09\x09\x09\x09" + setup.plan[28:]
    assert runtime.get_engine_validity(other)[0] == trt.EngineValidity.INVALID


CHOOSES = """
import sys
from tests.emulated.driver.gpu import load_gpu
from tests.emulated.fixtures import load_bindings
from tests.emulated.double.plan import MAGIC, RTX_MAGIC, Plan, write_plan
from tests.emulated.setup.graphs import make_network

name, chosen = sys.argv[1], int(sys.argv[2])
trt = load_bindings(name).module
plan = Plan(make_network(), [{"image": ((1, 3, 8, 8),) * 3}])
with load_gpu().current():
    runtime = trt.Runtime(trt.Logger())
    engine = runtime.deserialize_cuda_engine(write_plan(plan, trt.__version__, RTX_MAGIC if name == "rtx" else MAGIC))
    context = engine.create_execution_context()
    print(context.set_optimization_profile_async(chosen, 0))
    del context
"""


@pytest.mark.parametrize("chosen", [0, 1], ids=["there", "absent"])
def test_a_profile_that_is_absent_is_an_error_or_the_end_of_the_process(trt, chosen):
    """The bindings of 10.3 raise while they do not hold the interpreter's lock."""
    command = [sys.executable, "-c", CHOOSES, os.environ[BINDINGS], str(chosen)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if chosen == 0:
        assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    elif os.environ[BINDINGS] == "10.3":
        assert done.returncode == -11
    else:
        assert done.returncode == 1 and "RuntimeError: Error in set optimization profile async." in done.stderr

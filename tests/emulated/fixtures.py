"""Fixtures of the emulated GPU; a conftest imports them with `from tests.emulated.fixtures import *`.

`gpu` is the GPU, `trt` the package on it, `write_plan` makes plans. No test may break a rule or leave anything behind,
unless it is marked `breaks`.
"""

from __future__ import annotations

import gc
import importlib
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import onnx
import pytest

from tests.emulated.double.module import make_module
from tests.emulated.double.plan import MAGIC, RTX_MAGIC, Plan, Shapes
from tests.emulated.double.plan import write_plan as serialize
from tests.emulated.driver.gpu import USUAL, EmulatedGPU, load_gpu
from tests.emulated.setup.pycuda_wheel import find_pycuda

__all__ = ["clean_gpu", "gpu", "trt", "write_plan"]

VERSION = "10.3.0"
"""Version of TensorRT that the double says to be."""
PACKAGES = ("pycuda", "tensorrt", "tensorrt_rtx", "tensorrt_bindings", "tensorrt_rtx_bindings")
_shown: dict[str, types.ModuleType] = {}
"""Packages that only tests of the emulated GPU may see."""


@pytest.fixture(scope="session")
def gpu() -> EmulatedGPU:
    """Emulated GPU of this process, with pycuda on it."""
    try:
        made = load_gpu()
        folder = find_pycuda()
    except (RuntimeError, FileNotFoundError) as error:
        pytest.skip(str(error))
    if "pycuda" not in _shown:
        sys.path.insert(0, str(folder))
        importlib.import_module("pycuda.driver")
        sys.path.remove(str(folder))
        _hide()
    return made


@pytest.fixture(scope="session")
def trt(gpu: EmulatedGPU) -> types.ModuleType:
    """Package `tensorrt` on the emulated GPU."""
    if "tensorrt" not in _shown:
        _shown["tensorrt"] = make_module(gpu, VERSION)
    return _shown["tensorrt"]


@pytest.fixture(scope="session")
def write_plan(trt: types.ModuleType) -> Callable[..., bytes]:
    """Function (model, profiles, plugins=False, detailed=True, version=..., rtx=False) -> bytes of a plan."""

    def write(
        model: onnx.ModelProto,
        profiles: list[Shapes],
        *,
        plugins: bool = False,
        detailed: bool = True,
        version: str = trt.__version__,
        rtx: bool = False,
    ) -> bytes:
        return serialize(Plan(model, profiles, plugins, detailed), version, RTX_MAGIC if rtx else MAGIC)

    return write


@pytest.fixture(autouse=True)
def clean_gpu(request: pytest.FixtureRequest) -> Iterator[None]:
    """Check for broken rules and things left behind, after each test that has the GPU."""
    if "gpu" not in request.fixturenames:
        yield
        return
    gpu: EmulatedGPU = request.getfixturevalue("gpu")
    gpu.forget()
    gpu.set(**USUAL)
    sys.modules.update(_shown)
    yield
    gpu.set(devices=1)
    with gpu.current():
        gc.collect()
    found: tuple[Any, ...] = (gpu.problems, gpu.live(), list(gpu.raised))
    gpu.forget()
    gpu.set(devices=0)
    _hide()
    if request.node.get_closest_marker("breaks") is None:
        assert found == ([], {}, []), found


def _hide() -> None:
    """Take the packages out of sys.modules: other tests of this process must not find them."""
    for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
        _shown[name] = sys.modules.pop(name)

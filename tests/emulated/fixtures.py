"""Fixtures of the emulated GPU.

A conftest imports them with `from tests.emulated.fixtures import *`.

`gpu` is the GPU, `trt` the package on it, `write_plan` makes plans. No test may break a rule or leave anything behind,
unless it is marked `breaks`.
"""

from __future__ import annotations

import functools
import gc
import os
import types
from collections.abc import Callable, Iterator

import onnx
import pytest

from tests.emulated.double.module import make_module
from tests.emulated.double.plan import MAGIC, RTX_MAGIC, Plan, Shapes
from tests.emulated.double.plan import write_plan as serialize
from tests.emulated.double.world import World
from tests.emulated.driver.gpu import USUAL, EmulatedGPU, load_gpu
from tests.emulated.library.bindings import Bindings
from tests.emulated.library.building import build_libraries
from tests.emulated.setup.bindings_wheel import RELEASES, DownloadError, find_bindings
from tests.emulated.setup.cache import import_from
from tests.emulated.setup.packages import Packages
from tests.emulated.setup.pycuda_wheel import BuildError, find_pycuda

__all__ = ["clean_gpu", "gpu", "packages", "trt", "world", "write_plan"]

BINDINGS = "SPAIR_TEST_BINDINGS"
"""Variable that names a release of the real bindings; without it the double is the package."""
VERSION = "10.3.0"
"""Version of TensorRT that the double says to be."""
PACKAGES = Packages()


@pytest.fixture(scope="session")
def gpu() -> EmulatedGPU:
    """Emulated GPU of this process, with pycuda on it."""
    try:
        made = load_gpu()
        folder = find_pycuda()
    except (RuntimeError, FileNotFoundError) as error:
        pytest.skip(str(error))
    PACKAGES.add("pycuda", lambda: import_from(folder, "pycuda.driver"))
    return made


@pytest.fixture(scope="session")
def trt(gpu: EmulatedGPU) -> Iterator[types.ModuleType]:
    """Package `tensorrt` on the emulated GPU.

    It is the double, or the real bindings that $SPAIR_TEST_BINDINGS names.
    """
    chosen = os.environ.get(BINDINGS)
    if not chosen:
        yield PACKAGES.add("tensorrt", lambda: make_module(gpu, VERSION))
        return
    assert chosen in RELEASES, f"${BINDINGS} is {chosen}, and not one of {', '.join(RELEASES)}"
    try:
        bindings = load_bindings(chosen)
    except (DownloadError, BuildError) as error:
        pytest.skip(str(error))
    yield PACKAGES.add(RELEASES[chosen].alias, lambda: bindings.module)
    assert bindings.answers.failed == [], bindings.answers.failed


@functools.cache
def load_bindings(name: str) -> Bindings:
    """Load a release of the real bindings once."""
    release = RELEASES[name]
    return Bindings(load_gpu(), build_libraries(release.flavour), find_bindings(release), release)


@pytest.fixture(scope="session")
def world(trt: types.ModuleType) -> World:
    """Settings of the double that answers, also behind the real bindings."""
    chosen = os.environ.get(BINDINGS)
    return (load_bindings(chosen).answers._double if chosen else trt).Runtime._world


@pytest.fixture(scope="session")
def write_plan(trt: types.ModuleType) -> Callable[..., bytes]:
    """Function (model, profiles, plugins=False, detailed=True, version=..., rtx=...) -> bytes of a plan."""

    def write(
        model: onnx.ModelProto,
        profiles: list[Shapes],
        *,
        plugins: bool = False,
        detailed: bool = True,
        version: str = trt.__version__,
        rtx: bool = trt.__name__.startswith("tensorrt_rtx"),
    ) -> bytes:
        return serialize(Plan(model, profiles, plugins, detailed), version, RTX_MAGIC if rtx else MAGIC)

    return write


@pytest.fixture(scope="module", autouse=True)
def packages() -> Iterator[None]:
    """Show the packages to the tests of a module.

    Garbage is collected after every test; objects that are older than the module are left out, which saves time.
    """
    PACKAGES.show()
    gc.freeze()
    yield
    gc.unfreeze()
    PACKAGES.hide()


@pytest.fixture(autouse=True)
def clean_gpu(request: pytest.FixtureRequest) -> Iterator[None]:
    """Check every test that has the GPU.

    No rule may be broken, and nothing may be left behind.
    """
    if "gpu" not in request.fixturenames:
        yield
        return
    gpu: EmulatedGPU = request.getfixturevalue("gpu")
    gpu.forget()
    gpu.set(**USUAL)
    yield
    gpu.set(devices=1)
    with gpu.current():
        gc.collect()
    found = (gpu.problems, gpu.live(), list(gpu.raised))
    gpu.forget()
    gpu.set(devices=0)
    if request.node.get_closest_marker("breaks") is None:
        assert found == ([], {}, []), found

"""One plugin library for the whole test session, built once even by several pytest processes."""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from spair.plugins.compiler.build import Build, build_plugins
from spair.plugins.compiler.cache import Cache
from spair.plugins.compiler.kernels.compilation import Settings
from spair.plugins.compiler.kernels.variants import SPARSE_CONVOLUTIONS, Layer, Variant, list_variants
from spair.plugins.compiler.targets import Target
from spair.plugins.compiler.tools import find_cuda_headers, find_tensorrt_headers
from spair.plugins.cost import NumberType
from spair.plugins.errors import PluginError
from tests.plugins.cpu.machine import (  # noqa: F401
    arm_program,
    memory,
    new_arm_program,
    processor,
    rounding_processor,
    tiles_library,
    vnni_library,
)

HOST_TARGET = Target("host", "Tests", (89,), 89, (12, 6), "x86_64", (1, 0), (2, 99), rtx=True)
"""Like the L4's, with any C library, and with TensorRT-RTX, whose engines are built without a GPU."""


_TWO: tuple[Literal["int8", "both"], ...] = ("int8", "both")
_TWO_TYPES: tuple[NumberType, ...] = ("fp16", "int8")
LAYERS = (
    *(Layer(*types, 3, 11, 19) for types in SPARSE_CONVOLUTIONS),
    *(Layer(*types, 1, 16, 24, coarse=True) for types in SPARSE_CONVOLUTIONS[1::2]),
    *(Layer(*types, 3, 19, 16, joined=3) for types in SPARSE_CONVOLUTIONS if types[1] == "fp16" or types[0] == "fp16"),
    *(
        Layer(*types, 3, 11, 19, gives=gives)
        for types in SPARSE_CONVOLUTIONS[1:5]
        if types[2] == "fp16"
        for gives in _TWO
    ),
    *(Layer("fp16", kind, "fp16", 1, 16, 24, coarse=True, gives=gives) for kind in _TWO_TYPES for gives in _TWO),
    *(Layer("fp16", kind, "fp16", 3, 19, 16, joined=3, gives=gives) for kind in _TWO_TYPES for gives in _TWO),
    *(Layer(*types, kernel, 5, 3) for types in SPARSE_CONVOLUTIONS[1::2] for kernel in (1, 3, 5)),
)
"""Layers that have kernels of their own in this library: those of the emulated operators; the others have not."""
TUNED = LAYERS[: len(SPARSE_CONVOLUTIONS)]
"""Layers of which the library has other tilings too."""


def list_all(architecture: int) -> tuple[Variant, ...]:
    """List the kernels of this library."""
    tuned = list_variants(architecture, TUNED, alternatives=True)
    return (*list_variants(architecture, LAYERS), *(variant for variant in tuned if variant.optional))


@dataclass(frozen=True)
class BuiltPlugins:
    """The library of `HOST_TARGET` with all its kernels, on disk."""

    target: Target
    path: Path
    """Of libspair_plugins.so."""
    autoload: Path
    """Of libspair_plugins_autoload.so, beside it."""
    report: dict[str, Any]
    settings: Settings
    """Those it was built with: kernels come from the cache."""


def find_reason(target: Target) -> str | None:
    """Why a target's library cannot be built and loaded here; None if it can."""
    if target.machine != platform.machine():
        return f"the library of {target.name} is for {target.machine}, this machine is {platform.machine()}"
    if shutil.which("g++") is None:
        return "g++ is not installed; on Debian and Ubuntu: apt-get install g++"
    try:
        import triton  # noqa: F401
    except ImportError as error:
        return f"Triton compiles the kernels and does not import: {error}"
    return None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def kernel_settings(request: pytest.FixtureRequest) -> Settings:
    """Compiles with every core, and keeps results by content from one session to the next; $SPAIR_CACHE/builds."""
    return Settings(os.cpu_count() or 1, Cache(request.config.cache.mkdir("spair") / "builds"))


@pytest.fixture(scope="session")
def plugins(kernel_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> BuiltPlugins:
    """The library of `HOST_TARGET`; the test is skipped where it cannot be built and loaded."""
    target = HOST_TARGET
    reason = find_reason(target)
    if reason is not None:
        pytest.skip(reason)
    assert kernel_settings.cache.folder is not None
    kernel_settings.cache.folder.mkdir(exist_ok=True)
    with locked(kernel_settings.cache.folder / "lock"):
        build: Build = build_plugins(target, kernel_settings, variants=list_all)
    path = tmp_path_factory.mktemp("plugins") / "libspair_plugins.so"
    path.write_bytes(build.library)
    assert build.report is not None and build.autoload is not None
    autoload = path.with_name("libspair_plugins_autoload.so")
    autoload.write_bytes(build.autoload)
    return BuiltPlugins(target, path, autoload, build.report, kernel_settings)


@pytest.fixture(scope="session")
def plugin_library(plugins: BuiltPlugins) -> Path:
    """libspair_plugins.so for this machine."""
    return plugins.path


@pytest.fixture(scope="session")
def header_folders() -> list[Path]:
    """Where the headers of TensorRT and of CUDA's driver are."""
    try:
        return [find_tensorrt_headers(), find_cuda_headers()]
    except PluginError as error:
        pytest.skip(str(error))

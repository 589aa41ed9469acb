"""The plugin library on this machine's own CUDA driver, driven through its interfaces, without TensorRT.

Two variables name what was made elsewhere, for machines without Triton or without TensorRT's headers:
$SPAIR_GPU_LIBRARY a libspair_plugins.so for this GPU, $SPAIR_GPU_HARNESS the C functions around TensorRT's interfaces
(tests/plugins/emulated/harness.cpp, compiled as `build_harness` does). PyTorch makes the context and owns all memory.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
from pathlib import Path

import numpy as np
import torch

from benchmarks.gpu.harness.engines import LIBRARY, compile_library
from spair.plugins.compiler.build import has_code
from spair.plugins.compiler.library.embedding import read_label
from spair.plugins.compiler.targets import TARGETS, Target
from spair.plugins.compiler.tools import find_cuda_headers, find_tensorrt_headers
from spair.plugins.errors import PluginError
from tests.plugins.emulated.memory import ALIGNMENT
from tests.plugins.emulated.plugin import GUARD, POISON_BYTE, PluginHost, build_harness

HARNESS = "SPAIR_GPU_HARNESS"


class DeviceArray:
    """An array in the GPU's memory, with a guard behind it."""

    def __init__(self, array: np.ndarray) -> None:
        self._shape, self._dtype, self._bytes = array.shape, array.dtype, array.nbytes
        self._memory = torch.full((array.nbytes + GUARD,), POISON_BYTE, dtype=torch.uint8, device="cuda")
        self.address = self._memory.data_ptr()
        assert self.address % ALIGNMENT == 0, f"PyTorch's allocator gave {self.address:#x}, not aligned to {ALIGNMENT}"
        self.write(array)

    def write(self, array: np.ndarray) -> None:
        """Other content of the same shape and type."""
        assert (array.shape, array.dtype) == (self._shape, self._dtype)
        content = np.ascontiguousarray(array).reshape(-1).view(np.uint8).copy()
        self._memory[: self._bytes].copy_(torch.from_numpy(content))
        torch.cuda.synchronize()

    def read(self) -> np.ndarray:
        """A copy of the content.

        Raises:
            AssertionError: something was written behind it.
        """
        content = self._memory.cpu().numpy()
        assert (content[self._bytes :] == POISON_BYTE).all(), "written behind a tensor"
        return content[: self._bytes].view(self._dtype).reshape(self._shape)


class DeviceMemory:
    """The GPU's memory and a stream of its own."""

    def __init__(self) -> None:
        self.torch_stream = torch.cuda.Stream()
        self.stream = self.torch_stream.cuda_stream

    def place(self, array: np.ndarray) -> DeviceArray:
        """A copy of an array on the GPU, complete when this returns."""
        return DeviceArray(array)

    def finish(self) -> None:
        """Wait for the stream; what went wrong in a kernel is raised here."""
        self.torch_stream.synchronize()


class RealDriver:
    """A plugin library on libcuda; PyTorch's primary context is current in the thread that made this."""

    def __init__(self, library: Path) -> None:
        torch.zeros(1, device="cuda")
        torch.cuda.synchronize()
        self.library = ctypes.CDLL(str(library.resolve()))
        self.launches: list[object] = []
        """Always empty: nobody counts the driver's launches."""
        self.problems: list[Exception] = []


def find_reason() -> str | None:
    """Why no plugin can run here; None if they can."""
    if not torch.cuda.is_available():
        return "PyTorch finds no NVIDIA GPU"
    named = os.environ.get(LIBRARY)
    if named:
        try:
            label = read_label(Path(named))
        except PluginError as error:
            return str(error)
        if not has_code(label, _architecture()) or label.machine != platform.machine():
            return f"{named} of ${LIBRARY} is built for {label.target} on {label.machine}, not for this machine"
    elif importlib.util.find_spec("triton") is None or _choose_target() is None:
        return f"no library can be built for this GPU; let ${LIBRARY} name a libspair_plugins.so"
    harness = os.environ.get(HARNESS)
    if harness:
        if not Path(harness).is_file():
            return (
                f"${HARNESS} names {harness}, which is no file; compile it as build_harness does, or unset the variable"
            )
    else:
        try:
            _find_headers()
        except PluginError as error:
            return f"{error}; or let ${HARNESS} name the compiled harness"
    return None


def open_host(folder: Path) -> PluginHost:
    """The library of this machine on its driver.

    Args:
        folder: where what no variable names is built.

    Raises:
        PluginError: the library cannot be built.
    """
    return PluginHost(find_harness(folder), RealDriver(find_library(folder)), DeviceMemory())


def find_library(folder: Path) -> Path:
    """The library that the variable names, else one that is built."""
    named = os.environ.get(LIBRARY)
    if named:
        return Path(named)
    target = _choose_target()
    assert target is not None, find_reason()
    path = folder / "libspair_plugins.so"
    path.write_bytes(compile_library(target))
    return path


def find_harness(folder: Path) -> Path:
    """The harness that the variable names, else one that is built."""
    named = os.environ.get(HARNESS)
    if named:
        return Path(named)
    return build_harness(folder / "libharness.so", _find_headers())


def _find_headers() -> list[Path]:
    return [find_tensorrt_headers(), find_cuda_headers()]


def _architecture() -> int:
    major, minor = torch.cuda.get_device_capability()
    return 10 * major + minor


def _choose_target() -> Target | None:
    """A target with this GPU and processor; whatever its TensorRT, which nothing here needs."""
    fitting = (t for t in TARGETS if _architecture() in t.architectures and t.machine == platform.machine())
    return next(fitting, None)

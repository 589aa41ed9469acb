"""Plugin library on this machine's CUDA driver, without TensorRT.

It is driven through its interfaces. Two variables name what was made elsewhere, for machines without Triton or without
TensorRT's headers: $SPAIR_GPU_LIBRARY a libspair_plugins.so for this GPU, and $SPAIR_GPU_HARNESS the C functions around
TensorRT's interfaces (tests/plugins/emulated/harness.cpp, compiled as `build_harness` does). PyTorch makes the context
and owns all memory.
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
    """Array in the GPU's memory, with a guard behind it."""

    def __init__(self, array: np.ndarray) -> None:
        self._shape, self._dtype, self._bytes = array.shape, array.dtype, array.nbytes
        self._memory = torch.full((array.nbytes + GUARD,), POISON_BYTE, dtype=torch.uint8, device="cuda")
        self.address = self._memory.data_ptr()
        assert self.address % ALIGNMENT == 0, f"PyTorch's allocator gave {self.address:#x}, not aligned to {ALIGNMENT}"
        self.write(array)

    def write(self, array: np.ndarray) -> None:
        """Write other content of the same shape and type."""
        assert (array.shape, array.dtype) == (self._shape, self._dtype)
        content = np.ascontiguousarray(array).reshape(-1).view(np.uint8).copy()
        self._memory[: self._bytes].copy_(torch.from_numpy(content))
        torch.cuda.synchronize()

    def read(self) -> np.ndarray:
        """Read a copy of the content.

        Raises:
            AssertionError: something was written behind the array.
        """
        content = self._memory.cpu().numpy()
        assert (content[self._bytes :] == POISON_BYTE).all(), "written behind a tensor"
        return content[: self._bytes].view(self._dtype).reshape(self._shape)


class DeviceMemory:
    """Memory of the GPU and a stream of its own."""

    def __init__(self) -> None:
        self.torch_stream = torch.cuda.Stream()
        self.stream = self.torch_stream.cuda_stream

    def place(self, array: np.ndarray) -> DeviceArray:
        """Copy an array to the GPU and wait for it."""
        return DeviceArray(array)

    def finish(self) -> None:
        """Wait for the stream; errors of kernels are raised here."""
        self.torch_stream.synchronize()


class RealDriver:
    """Plugin library on libcuda.

    PyTorch's primary context is current in the thread that made this.
    """

    counts = False
    """Whether it knows what is launched."""

    def __init__(self, library: Path) -> None:
        torch.zeros(1, device="cuda")
        torch.cuda.synchronize()
        self.library = ctypes.CDLL(str(library.resolve()))
        self.launches: list[object] = []
        """Always empty, because the driver's launches are not counted."""
        self.problems: list[Exception] = []


def find_reason() -> str | None:
    """Say why no plugin can run here, or return None."""
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
                f"${HARNESS} names {harness}, which is not a file; "
                "compile it as build_harness does, or unset the variable"
            )
    else:
        try:
            _find_headers()
        except PluginError as error:
            return f"{error}; or let ${HARNESS} name the compiled harness"
    return None


def open_host(folder: Path) -> PluginHost:
    """Open the library of this machine on its driver.

    Args:
        folder: folder for everything that no variable names and that is built therefore.

    Raises:
        PluginError: the library cannot be built.
    """
    return PluginHost(find_harness(folder), RealDriver(find_library(folder)), DeviceMemory())


def find_library(folder: Path) -> Path:
    """Return the library that the variable names, or build one."""
    named = os.environ.get(LIBRARY)
    if named:
        return Path(named)
    target = _choose_target()
    assert target is not None, find_reason()
    path = folder / "libspair_plugins.so"
    path.write_bytes(compile_library(target))
    return path


def find_harness(folder: Path) -> Path:
    """Return the harness that the variable names, or build one."""
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
    """Choose a target with this GPU and processor.

    Its TensorRT does not matter, because nothing here needs it.
    """
    fitting = (t for t in TARGETS if _architecture() in t.architectures and t.machine == platform.machine())
    return next(fitting, None)

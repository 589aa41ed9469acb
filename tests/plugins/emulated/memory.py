"""Memory of the tensors of a call, on the emulated GPU or a real one."""

from __future__ import annotations

import ctypes
from typing import Protocol

import numpy as np

from tests.emulated.driver.gpu import EmulatedGPU

ALIGNMENT = 256
"""Bytes to which device memory is aligned."""
NON_BLOCKING = 1
RELAXED = 2
"""Mode of a thread in which captures forbid it nothing."""


class Placed(Protocol):
    """Array in memory that plugins can reach."""

    address: int

    def read(self) -> np.ndarray:
        """Return its content now."""

    def write(self, array: np.ndarray) -> None:
        """Write other content of the same shape and type."""


class Memory(Protocol):
    """Memory that plugins can reach, and the stream on which they run."""

    stream: int

    def place(self, array: np.ndarray) -> Placed:
        """Return a copy, at an address that is aligned as device memory is."""

    def finish(self) -> None:
        """Wait until the stream has done what was launched."""


class DeviceArray:
    """Array in the memory of the emulated GPU, which the host cannot touch."""

    def __init__(self, gpu: EmulatedGPU, array: np.ndarray) -> None:
        address, mode = ctypes.c_uint64(), ctypes.c_int(RELAXED)
        gpu.cuda.cuThreadExchangeStreamCaptureMode(ctypes.byref(mode))  # tests place arrays during captures
        code = gpu.cuda.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(max(array.nbytes, 1)))
        gpu.cuda.cuThreadExchangeStreamCaptureMode(ctypes.byref(mode))
        assert code == 0, code
        self.address = address.value
        self._gpu, self._shape, self._dtype = gpu, array.shape, array.dtype
        self.write(array)

    def _view(self) -> np.ndarray:
        return self._gpu.view(self.address, self._shape, self._dtype, "an array of a test")

    def read(self) -> np.ndarray:
        """Return a copy of its content."""
        return self._view().copy()

    def write(self, array: np.ndarray) -> None:
        """Write other content of the same shape and type."""
        self._view()[...] = array


class DeviceMemory:
    """Memory of the emulated GPU and a stream; arrays are freed after the test."""

    def __init__(self, gpu: EmulatedGPU) -> None:
        self._gpu = gpu
        self.stream = 0

    def open_stream(self) -> None:
        """Make a stream in the current context."""
        stream = ctypes.c_void_p()
        assert self._gpu.cuda.cuStreamCreate(ctypes.byref(stream), NON_BLOCKING) == 0
        self.stream = stream.value or 0

    def place(self, array: np.ndarray) -> DeviceArray:
        """Return a copy in device memory."""
        return DeviceArray(self._gpu, array)

    def finish(self) -> None:
        """Run what was launched.

        Raises:
            AssertionError: work broke a rule of the GPU.
            Exception: whatever went wrong in emulated work.
        """
        code = self._gpu.cuda.cuStreamSynchronize(ctypes.c_void_p(self.stream))
        if self._gpu.raised:
            raise self._gpu.raised.pop()
        assert (code, self._gpu.problems) == (0, [])

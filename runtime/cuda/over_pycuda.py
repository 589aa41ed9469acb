"""CUDA driver through the package pycuda."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .errors import CudaError
from .graphs import DriverGraph, capture_graph
from .protocol import Stream

_NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING, for which pycuda has no name. Other streams wait for the default stream, and anything that
touches that one breaks their captures."""


@contextmanager
def _translating(cuda: Any) -> Iterator[None]:
    try:
        yield
    except cuda.Error as error:  # also pycuda's MemoryError; its classes do not tell a lost GPU
        raise CudaError(str(error)) from error


class PycudaStream:
    """Stream of pycuda."""

    def __init__(self, cuda: Any) -> None:
        with _translating(cuda):
            self.own = cuda.Stream(_NON_BLOCKING)
        self._cuda = cuda
        self.handle: int = self.own.handle
        """CUstream."""

    def synchronize(self) -> None:
        """Wait for all work."""
        with _translating(self._cuda):
            self.own.synchronize()

    def close(self) -> None:
        """Destroy the stream."""
        self.own = None


class PycudaEvent:
    """Event of pycuda."""

    def __init__(self, cuda: Any, timing: bool, spin: bool) -> None:
        flags = cuda.event_flags
        with _translating(cuda):
            self._own = cuda.Event((0 if timing else flags.DISABLE_TIMING) | (0 if spin else flags.BLOCKING_SYNC))
        self._cuda = cuda

    def record(self, stream: PycudaStream) -> None:
        """Put the mark behind all queued work."""
        with _translating(self._cuda):
            self._own.record(stream.own)

    def synchronize(self) -> None:
        """Wait for the mark."""
        with _translating(self._cuda):
            self._own.synchronize()

    def measure_since(self, start: PycudaEvent) -> float:
        """Return the milliseconds since an earlier mark."""
        with _translating(self._cuda):
            return float(self._own.time_since(start._own))

    def close(self) -> None:
        """Destroy the event."""
        self._own = None


class PycudaMemory:
    """Memory of the GPU."""

    def __init__(self, cuda: Any, size: int) -> None:
        with _translating(cuda):
            self._own = cuda.mem_alloc(size)
        self._cuda = cuda
        self.address = int(self._own)
        """CUdeviceptr."""

    def close(self) -> None:
        """Free the memory."""
        own, self._own = self._own, None
        if own is not None:
            with _translating(self._cuda):
                own.free()


class PycudaPinned:
    """Pinned memory of the host."""

    def __init__(self, cuda: Any, size: int, mapped: bool) -> None:
        flags = cuda.host_alloc_flags
        with _translating(cuda):
            self.array: np.ndarray = cuda.pagelocked_empty(
                size, np.uint8, mem_flags=flags.PORTABLE | (flags.DEVICEMAP if mapped else 0)
            )
            """All bytes, [size] uint8."""
            self.address: int | None = int(self.array.base.get_device_pointer()) if mapped else None
            """Address by which the GPU reads it."""
        self._cuda, self._own = cuda, self.array.base

    def close(self) -> None:
        """Free the memory."""
        own, self._own = self._own, None
        self.array = np.empty(0, np.uint8)
        if own is not None:
            with _translating(self._cuda):
                own.free()


class PycudaDriver:
    """Primary context of the first GPU.

    One object serves the whole process: pycuda compares contexts by object, and frees nothing in another one.
    """

    name = "pycuda"
    """Name of the package."""

    def __init__(self) -> None:
        """Retain the context.

        Raises:
            CudaError: the driver finds no GPU, or its memory is full.
        """
        import pycuda.driver as cuda

        self._cuda = cuda
        with _translating(cuda):
            cuda.init()
            self._device = cuda.Device(0)
            self._context = self._device.retain_primary_context()

    @property
    def integrated(self) -> bool:
        """Whether GPU and host share their memory."""
        with _translating(self._cuda):
            return bool(self._device.get_attribute(self._cuda.device_attribute.INTEGRATED))

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the context current for a `with` block.

        It never stays so: pycuda ends the process when a thread ends with a current context.
        """
        with _translating(self._cuda):
            self._context.push()
        try:
            yield
        finally:
            self._context.pop()

    def make_stream(self) -> PycudaStream:
        """Create a stream."""
        return PycudaStream(self._cuda)

    def make_event(self, *, timing: bool = False, spin: bool = False) -> PycudaEvent:
        """Create an event; see `Cuda.make_event`."""
        return PycudaEvent(self._cuda, timing, spin)

    def allocate(self, size: int) -> PycudaMemory:
        """Allocate bytes on the GPU."""
        return PycudaMemory(self._cuda, size)

    def allocate_pinned(self, size: int, *, mapped: bool = False) -> PycudaPinned:
        """Allocate bytes on the host; see `Cuda.allocate_pinned`."""
        return PycudaPinned(self._cuda, size, mapped)

    def copy_in(self, target: PycudaMemory, source: PycudaPinned, size: int, stream: PycudaStream) -> None:
        """Queue a copy to the GPU."""
        with _translating(self._cuda):
            self._cuda.memcpy_htod_async(target.address, source.array[:size], stream.own)

    def copy_out(self, target: PycudaPinned, source: PycudaMemory, size: int, stream: PycudaStream) -> None:
        """Queue a copy to the host."""
        with _translating(self._cuda):
            self._cuda.memcpy_dtoh_async(target.array[:size], source.address, stream.own)

    def capture(self, stream: Stream, enqueue: Callable[[], None]) -> DriverGraph:
        """Capture what a function queues; see `Cuda.capture`."""
        return capture_graph(stream, enqueue)

    def measure_memory(self) -> tuple[int, int]:
        """Return the free and all bytes of the GPU's memory."""
        with _translating(self._cuda):
            free, total = self._cuda.mem_get_info()
        return int(free), int(total)

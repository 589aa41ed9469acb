"""CUDA driver through the package cuda.bindings."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .errors import CudaError
from .graphs import DriverGraph, capture_graph
from .protocol import Stream


def _call(function: Callable[..., tuple[Any, ...]], *arguments: Any) -> Any:
    """Call a function of the driver and return its value.

    The bindings return a tuple of the error and the values.
    """
    error, *values = function(*arguments)
    code = int(error)
    if code:
        from cuda.bindings import driver

        words = driver.cuGetErrorString(error)[1]
        text = words.decode() if isinstance(words, bytes) else "unknown error"
        raise CudaError(f"{function.__name__} failed: {text}", code)
    return values[0] if len(values) == 1 else tuple(values)


class BindingsStream:
    """Stream of cuda.bindings."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self.own = _call(driver.cuStreamCreate, driver.CUstream_flags.CU_STREAM_NON_BLOCKING)
        self.handle = int(self.own)
        """CUstream."""

    def synchronize(self) -> None:
        """Wait for all work."""
        _call(self._driver.cuStreamSynchronize, self.own)

    def close(self) -> None:
        """Destroy the stream."""
        own, self.own = self.own, None
        if own is not None:
            _call(self._driver.cuStreamDestroy, own)


class BindingsEvent:
    """Event of cuda.bindings."""

    def __init__(self, driver: Any, timing: bool, spin: bool) -> None:
        flags = driver.CUevent_flags
        chosen = 0 if timing else flags.CU_EVENT_DISABLE_TIMING
        self._driver = driver
        self._own = _call(driver.cuEventCreate, int(chosen) | (0 if spin else int(flags.CU_EVENT_BLOCKING_SYNC)))

    def record(self, stream: BindingsStream) -> None:
        """Put the mark behind all queued work."""
        _call(self._driver.cuEventRecord, self._own, stream.own)

    def synchronize(self) -> None:
        """Wait for the mark."""
        _call(self._driver.cuEventSynchronize, self._own)

    def measure_since(self, start: BindingsEvent) -> float:
        """Return the milliseconds since an earlier mark."""
        return float(_call(self._driver.cuEventElapsedTime, start._own, self._own))

    def close(self) -> None:
        """Destroy the event."""
        own, self._own = self._own, None
        if own is not None:
            _call(self._driver.cuEventDestroy, own)


class BindingsMemory:
    """Memory of the GPU."""

    def __init__(self, driver: Any, size: int) -> None:
        self._driver = driver
        self.address = int(_call(driver.cuMemAlloc, size))
        """CUdeviceptr."""
        self._freed = False

    def close(self) -> None:
        """Free the memory."""
        if not self._freed:
            self._freed = True
            _call(self._driver.cuMemFree, self.address)


class BindingsPinned:
    """Pinned memory of the host."""

    def __init__(self, driver: Any, size: int, mapped: bool) -> None:
        flags = driver.CU_MEMHOSTALLOC_PORTABLE | (driver.CU_MEMHOSTALLOC_DEVICEMAP if mapped else 0)
        self._driver = driver
        self._place: int | None = int(_call(driver.cuMemHostAlloc, size, flags))
        self.array: np.ndarray = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(self._place))
        """All bytes, [size] uint8."""
        try:
            self.address = int(_call(driver.cuMemHostGetDevicePointer, self._place, 0)) if mapped else None
            """Address by which the GPU reads it."""
        except CudaError:
            self.close()
            raise

    def close(self) -> None:
        """Free the memory."""
        place, self._place = self._place, None
        self.array = np.empty(0, np.uint8)
        if place is not None:
            _call(self._driver.cuMemFreeHost, place)


class BindingsDriver:
    """Primary context of the first GPU."""

    name = "cuda.bindings"
    """Name of the package."""

    def __init__(self) -> None:
        """Retain the context.

        Raises:
            CudaError: the driver finds no GPU, or its memory is full.
        """
        from cuda.bindings import driver

        self._driver = driver
        _call(driver.cuInit, 0)
        self._device = _call(driver.cuDeviceGet, 0)
        self._context = _call(driver.cuDevicePrimaryCtxRetain, self._device)

    @property
    def integrated(self) -> bool:
        """Whether GPU and host share their memory."""
        attribute = self._driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_INTEGRATED
        return bool(_call(self._driver.cuDeviceGetAttribute, attribute, self._device))

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the context current for a `with` block."""
        _call(self._driver.cuCtxPushCurrent, self._context)
        try:
            yield
        finally:
            _call(self._driver.cuCtxPopCurrent)

    def make_stream(self) -> BindingsStream:
        """Create a stream."""
        return BindingsStream(self._driver)

    def make_event(self, *, timing: bool = False, spin: bool = False) -> BindingsEvent:
        """Create an event; see `Cuda.make_event`."""
        return BindingsEvent(self._driver, timing, spin)

    def allocate(self, size: int) -> BindingsMemory:
        """Allocate bytes on the GPU."""
        return BindingsMemory(self._driver, size)

    def allocate_pinned(self, size: int, *, mapped: bool = False) -> BindingsPinned:
        """Allocate bytes on the host; see `Cuda.allocate_pinned`."""
        return BindingsPinned(self._driver, size, mapped)

    def copy_in(self, target: BindingsMemory, source: BindingsPinned, size: int, stream: BindingsStream) -> None:
        """Queue a copy to the GPU."""
        _call(self._driver.cuMemcpyHtoDAsync, target.address, source.array.ctypes.data, size, stream.own)

    def copy_out(self, target: BindingsPinned, source: BindingsMemory, size: int, stream: BindingsStream) -> None:
        """Queue a copy to the host."""
        _call(self._driver.cuMemcpyDtoHAsync, target.array.ctypes.data, source.address, size, stream.own)

    def capture(self, stream: Stream, enqueue: Callable[[], None]) -> DriverGraph:
        """Capture what a function queues; see `Cuda.capture`."""
        return capture_graph(stream, enqueue)

    def measure_memory(self) -> tuple[int, int]:
        """Return the free and all bytes of the GPU's memory."""
        free, total = _call(self._driver.cuMemGetInfo)
        return int(free), int(total)

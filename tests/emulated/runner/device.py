"""CUDA device of the runner."""

from __future__ import annotations

import ctypes
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LOG = logging.getLogger("spair")
THREAD_LOCAL = 1
"""Mode of capture that other threads cannot break."""
FATAL = re.compile("illegal memory|launch failure|misaligned address|ECC error|launch timed out|unknown error")
"""Errors after which nothing works any more in the process; pycuda has no class of its own for them."""


class RunError(Exception):
    """Refusal of TensorRT or CUDA."""


def is_fatal(error: BaseException) -> bool:
    """Return whether the process has to end."""
    return bool(FATAL.search(str(error)))


class Device:
    """Primary context, which TensorRT uses too.

    The process has one object of it.
    """

    def __init__(self, ordinal: int = 0) -> None:
        import pycuda.driver as cuda

        cuda.init()
        self.cuda = cuda
        self._context = cuda.Device(ordinal).retain_primary_context()
        self._driver = ctypes.CDLL("libcuda.so.1")

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make it current in this thread for a while.

        pycuda ends the process if a thread ends with it.
        """
        self._context.push()
        try:
            yield
        finally:
            self._context.pop()

    def close(self) -> None:
        """Release the context, after everything inside of it.

        pycuda pushes it once more and leaves it so.
        """
        self._context.detach()
        self._driver.cuCtxPopCurrent_v2(None)

    def capture(self, stream: Any, enqueue: Callable[[], None]) -> Graph | None:
        """Return the work that `enqueue` queues as a graph.

        None, and a message, where it cannot be captured.
        """
        handle, graph, executable = ctypes.c_void_p(stream.handle), ctypes.c_void_p(), ctypes.c_void_p()
        failed: BaseException | None = None
        self.check(self._driver.cuStreamBeginCapture_v2(handle, THREAD_LOCAL))
        try:
            enqueue()
        except (RunError, self.cuda.Error) as error:
            failed = error
        code = self._driver.cuStreamEndCapture(handle, ctypes.byref(graph))
        if not code and not failed:
            code = self._driver.cuGraphInstantiateWithFlags(ctypes.byref(executable), graph, ctypes.c_uint64(0))
        if graph:
            self._driver.cuGraphDestroy(graph)
        if code or failed:
            LOG.warning("runs without a CUDA graph: %s", failed or self.describe(code))
            return None
        return Graph(self, executable)

    def check(self, code: int) -> None:
        """Raise `RunError` for a code other than 0."""
        if code:
            raise RunError(self.describe(code))

    def describe(self, code: int) -> str:
        """Return the driver's words for a code."""
        words = ctypes.c_char_p()
        self._driver.cuGetErrorString(code, ctypes.byref(words))
        return (words.value or b"unknown").decode()


class Graph:
    """Captured work."""

    def __init__(self, device: Device, handle: ctypes.c_void_p) -> None:
        self._device, self._handle = device, handle

    def launch(self, stream: Any) -> None:
        """Put it on a stream."""
        self._device.check(self._device._driver.cuGraphLaunch(self._handle, ctypes.c_void_p(stream.handle)))

    def destroy(self) -> None:
        """Destroy it, before the memory that it works on.

        A lost device cannot say whether that failed.
        """
        self._device._driver.cuGraphExecDestroy(self._handle)


class Buffer:
    """Tensor in pinned memory and in device memory."""

    def __init__(self, device: Device, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape = shape
        self.host = device.cuda.pagelocked_empty(shape, dtype)
        try:
            self.device = device.cuda.mem_alloc(self.host.nbytes)
        except BaseException:
            self.host.base.free()
            raise

    def free(self) -> None:
        """Free both."""
        self.device.free()
        self.host.base.free()

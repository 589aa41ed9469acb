"""CUDA graphs, which pycuda has no calls for."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from .errors import CudaError
from .protocol import Stream

DRIVER = "libcuda.so.1"
"""Library of the NVIDIA driver."""
_THREAD_LOCAL = 1
"""CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: calls of other threads do not break a capture."""


class DriverGraph:
    """Captured work, ready to be launched."""

    def __init__(self, driver: ctypes.CDLL, handle: ctypes.c_void_p) -> None:
        self._driver, self._handle = driver, handle

    def launch(self, stream: Stream) -> None:
        """Queue the work again."""
        _check(self._driver, "cuGraphLaunch", self._handle, ctypes.c_void_p(stream.handle))

    def close(self) -> None:
        """Destroy the graph.

        On a lost GPU nothing can be done about a failure.
        """
        if self._handle:
            self._driver.cuGraphExecDestroy(self._handle)
            self._handle = ctypes.c_void_p()


def capture_graph(stream: Stream, enqueue: Callable[[], None]) -> DriverGraph:
    """Capture what a function queues; see `Cuda.capture`."""
    driver, handle = ctypes.CDLL(DRIVER), ctypes.c_void_p(stream.handle)
    graph, executable = ctypes.c_void_p(), ctypes.c_void_p()
    _check(driver, "cuStreamBeginCapture_v2", handle, ctypes.c_int(_THREAD_LOCAL))
    try:
        enqueue()
    except BaseException:
        driver.cuStreamEndCapture(handle, ctypes.byref(graph))
        _destroy(driver, graph)
        raise
    try:
        _check(driver, "cuStreamEndCapture", handle, ctypes.byref(graph))
        _check(driver, "cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, ctypes.c_uint64(0))
    finally:
        _destroy(driver, graph)
    return DriverGraph(driver, executable)


def _destroy(driver: ctypes.CDLL, graph: ctypes.c_void_p) -> None:
    if graph:
        driver.cuGraphDestroy(graph)


def _check(driver: ctypes.CDLL, function: str, *arguments: object) -> None:
    code = getattr(driver, function)(*arguments)
    if code:
        words = ctypes.c_char_p()
        driver.cuGetErrorString(ctypes.c_int(code), ctypes.byref(words))
        raise CudaError(f"{function} failed: {(words.value or b'unknown error').decode()}", code)

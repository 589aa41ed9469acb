"""Protocol of the CUDA driver.

An object has one owner, which closes it while the context is current; `close` may be called twice. Methods raise
`CudaError`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np


class Stream(Protocol):
    """Queue that does not wait for the default stream."""

    @property
    def handle(self) -> int:
        """CUstream."""
        ...

    def synchronize(self) -> None:
        """Wait for all work."""
        ...

    def close(self) -> None:
        """Destroy the stream; its work must be done."""
        ...


class Event(Protocol):
    """Mark in a stream."""

    def record(self, stream: Stream) -> None:
        """Put the mark behind all queued work."""
        ...

    def synchronize(self) -> None:
        """Wait for the mark."""
        ...

    def measure_since(self, start: Event) -> float:
        """Return the milliseconds since an earlier mark.

        Both marks must have been passed, and must have been made with `timing`.
        """
        ...

    def close(self) -> None:
        """Destroy the event."""
        ...


class Memory(Protocol):
    """Memory of the GPU."""

    @property
    def address(self) -> int:
        """CUdeviceptr."""
        ...

    def close(self) -> None:
        """Free the memory; no queued work may use it."""
        ...


class Pinned(Protocol):
    """Memory of the host that copies need not stage."""

    @property
    def array(self) -> np.ndarray:
        """All bytes, [size] uint8."""
        ...

    @property
    def address(self) -> int | None:
        """Address by which the GPU reads it.

        None unless it was mapped.
        """
        ...

    def close(self) -> None:
        """Free the memory.

        No queued work and no view of the array may use it.
        """
        ...


class CapturedWork(Protocol):
    """Captured work."""

    def launch(self, stream: Stream) -> None:
        """Queue the work again."""
        ...

    def close(self) -> None:
        """Destroy the graph; no launch of it may be queued."""
        ...


class Cuda(Protocol):
    """Primary context of the first GPU, which TensorRT uses too."""

    @property
    def name(self) -> str:
        """Name of the Python package behind it."""
        ...

    @property
    def integrated(self) -> bool:
        """Whether GPU and host share their memory, as on Jetson."""
        ...

    def current(self) -> AbstractContextManager[None]:
        """Make the context current for a `with` block."""
        ...

    def make_stream(self) -> Stream:
        """Create a stream."""
        ...

    def make_event(self, *, timing: bool = False, spin: bool = False) -> Event:
        """Create an event.

        Args:
            timing: whether `measure_since` works.
            spin: whether waiting threads spin, which answers sooner and keeps a core busy.
        """
        ...

    def allocate(self, size: int) -> Memory:
        """Allocate bytes on the GPU."""
        ...

    def allocate_pinned(self, size: int, *, mapped: bool = False) -> Pinned:
        """Allocate bytes on the host.

        Args:
            size: number of bytes, at least 1.
            mapped: whether the GPU reads and writes them without a copy.
        """
        ...

    def copy_in(self, target: Memory, source: Pinned, size: int, stream: Stream) -> None:
        """Queue a copy of the first bytes to the GPU."""
        ...

    def copy_out(self, target: Pinned, source: Memory, size: int, stream: Stream) -> None:
        """Queue a copy of the first bytes to the host."""
        ...

    def capture(self, stream: Stream, enqueue: Callable[[], None]) -> CapturedWork:
        """Capture what a function queues.

        What other threads do meanwhile does not break the capture.

        Args:
            stream: where it is queued.
            enqueue: function that queues the work; what it raises goes through, after the capture was ended.
        """
        ...

    def measure_memory(self) -> tuple[int, int]:
        """Return the free and all bytes of the GPU's memory."""
        ...

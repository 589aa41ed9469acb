"""Memory of a slot's tensors."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Protocol

import numpy as np

from ..cuda import Cuda, CudaError, Memory, Pinned, Stream

_LOG = logging.getLogger("spair.tensorrt")


class Closable(Protocol):
    """Object that is closed."""

    def close(self) -> None:
        """Give back what it holds."""
        ...


def close_all(things: Iterable[Closable | None]) -> None:
    """Close things in order.

    A GPU that was lost refuses; that is logged, and no reason to keep the others.
    """
    for thing in things:
        try:
            if thing is not None:
                thing.close()
        except CudaError as error:
            _LOG.error("cannot free what the GPU held: %s", error)


class Buffer:
    """Memory of one tensor on host and GPU.

    It only grows. Where both share their memory, there is one place and nothing is copied.
    """

    def __init__(self, cuda: Cuda) -> None:
        self._cuda, self._shared = cuda, cuda.integrated
        self._pinned: Pinned | None = None
        self._memory: Memory | None = None
        self.size = 0
        """Number of bytes."""

    @property
    def address(self) -> int:
        """Address on the GPU."""
        if self._shared:
            assert self._pinned is not None and self._pinned.address is not None
            return self._pinned.address
        assert self._memory is not None
        return self._memory.address

    def reserve(self, size: int, room: int) -> bool:
        """Make place for a tensor.

        No queued work may use the buffer.

        Args:
            size: number of bytes that it needs.
            room: number of bytes to allocate if it does not have as many.

        Returns:
            Whether the address changed.

        Raises:
            CudaError: there is not enough memory; the buffer is empty then.
        """
        if size <= self.size:
            return False
        self.close()
        self._pinned = self._cuda.allocate_pinned(max(size, room), mapped=self._shared)
        if not self._shared:
            self._memory = self._cuda.allocate(max(size, room))
        self.size = max(size, room)
        return True

    def view(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return the host's side as an array."""
        assert self._pinned is not None
        count = int(np.prod(shape, dtype=np.int64))
        return self._pinned.array[: count * dtype.itemsize].view(dtype).reshape(shape)

    def copy_in(self, size: int, stream: Stream) -> None:
        """Queue the copy of the first bytes to the GPU."""
        if self._memory is not None and self._pinned is not None:
            self._cuda.copy_in(self._memory, self._pinned, size, stream)

    def copy_out(self, size: int, stream: Stream) -> None:
        """Queue the copy of the first bytes to the host."""
        if self._memory is not None and self._pinned is not None:
            self._cuda.copy_out(self._pinned, self._memory, size, stream)

    def close(self) -> None:
        """Free both sides."""
        pinned, memory = self._pinned, self._memory
        self._pinned, self._memory, self.size = None, None, 0
        close_all([memory, pinned])

"""Where the tensors of a call lie: in the host's memory for the emulated driver."""

from __future__ import annotations

from typing import Protocol

import numpy as np

ALIGNMENT = 256
"""Of device memory, in bytes."""
STREAM = 0x5A0
"""A made stream: every launch must be on it."""


class Placed(Protocol):
    """An array in memory that plugins can reach."""

    address: int

    def read(self) -> np.ndarray:
        """Its content now."""

    def write(self, array: np.ndarray) -> None:
        """Other content of the same shape and type."""


class Memory(Protocol):
    """Places arrays where plugins can reach them, and says on which stream they run."""

    stream: int

    def place(self, array: np.ndarray) -> Placed:
        """A copy, at an address that is aligned as device memory is."""

    def finish(self) -> None:
        """Wait until the stream has done what was launched."""


class HostArray:
    """An array in the host's memory."""

    def __init__(self, array: np.ndarray) -> None:
        whole = np.empty(array.nbytes + ALIGNMENT, np.uint8)
        start = -whole.ctypes.data % ALIGNMENT
        self._array = whole[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        self._array[...] = array
        self.address = self._array.ctypes.data

    def read(self) -> np.ndarray:
        """The array itself."""
        return self._array

    def write(self, array: np.ndarray) -> None:
        """Other content."""
        self._array[...] = array


class HostMemory:
    """The emulated driver's: launches are done when they return."""

    stream = STREAM

    def place(self, array: np.ndarray) -> HostArray:
        """A copy that is aligned."""
        return HostArray(array)

    def finish(self) -> None:
        """Nothing to wait for."""

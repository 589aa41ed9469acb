"""Memory that two processes share, without a file's name."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Sequence

import numpy as np

ALIGNMENT = 64
"""Number of bytes that divides the place of every array, so that vector instructions read whole lines of the cache."""
KEPT = 64 * 1024**2
"""Largest number of bytes that an arena keeps between requests; larger ones are given back to the system."""


def align(place: int) -> int:
    """Round a place up to a line of the cache."""
    return -(-place // ALIGNMENT) * ALIGNMENT


class Arena:
    """Piece of shared memory, as long as its largest request.

    It is an open file that no folder lists, so nothing of it is left when both processes are gone, however they ended.
    One side at a time uses it: a request lies in it, then an answer.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        """Make an empty arena, or take over an open one.

        Args:
            descriptor: number of the open file that the other process made; None makes a new one.
        """
        self._descriptor = _make_file() if descriptor is None else descriptor

    @property
    def descriptor(self) -> int:
        """Number of the open file, for the other process."""
        return self._descriptor

    @property
    def size(self) -> int:
        """Number of bytes."""
        return os.fstat(self._descriptor).st_size

    def write(self, place: int, data: bytes | np.ndarray) -> int:
        """Write bytes; the arena grows where they end behind it.

        Args:
            place: number of bytes before the first one.
            data: the bytes, or an array in C order.

        Returns:
            The place behind the last one.
        """
        view = data.data if isinstance(data, np.ndarray) else memoryview(data)
        rest = view.cast("B") if view.nbytes else memoryview(b"")
        while rest.nbytes:
            count = os.pwrite(self._descriptor, rest, place)  # at most 2 GiB at a time
            rest, place = rest[count:], place + count
        return place

    def read(self, place: int, shape: Sequence[int]) -> np.ndarray:
        """Read an array.

        It is a copy: memory that the other process can cut short must not be looked at directly, since the system
        ends a process that reads behind the end.

        Args:
            place: number of bytes before the first one.
            shape: sizes.

        Returns:
            Array [*shape] of uint8.

        Raises:
            EOFError: the arena ends before the array does.
        """
        array = np.empty(tuple(shape), np.uint8)
        rest = array.data.cast("B") if array.size else memoryview(b"")
        while rest.nbytes:
            count = os.preadv(self._descriptor, [rest], place)
            if not count:
                raise EOFError(f"shared memory ends {rest.nbytes} bytes too early")
            rest, place = rest[count:], place + count
        return array

    def map(self, size: int) -> np.ndarray:
        """Make the arena's bytes visible as an array.

        The arena grows where it is shorter. The mapping ends when the array and all its views are gone.

        Args:
            size: number of bytes, at least 1.

        Returns:
            Array [size] of uint8.
        """
        if self.size < size:
            os.ftruncate(self._descriptor, size)
        return np.frombuffer(mmap.mmap(self._descriptor, size), np.uint8)

    def trim(self) -> None:
        """Give the memory back if it is more than `KEPT`."""
        if self.size > KEPT:
            os.ftruncate(self._descriptor, 0)

    def close(self) -> None:
        """Close this process's side; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _make_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("spair-arena", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:  # it has no name any more when it is open
        return os.dup(file.fileno())

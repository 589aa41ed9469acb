"""Storage for decoded pictures."""

from __future__ import annotations

import dataclasses
import tempfile
from typing import Any

import numpy as np

CHUNK = 1 << 30
"""Bytes of one temporary file."""


class Store:
    """Store of arrays in memory and in temporary files.

    Arrays go to files once the memory has reached its limit; training reads only crops of them. The files have no name
    and vanish with the process, however it ends.
    """

    def __init__(self, limit: float) -> None:
        """Set the limit of the memory in bytes."""
        self.left, self.used = limit, 0
        self.chunk = np.zeros(0, np.uint8)

    def keep(self, array: np.ndarray) -> np.ndarray:
        """Keep an array of bytes or bools.

        Returns:
            An array with the same values, in memory or in a file.

        Raises:
            OSError: the temporary folder is full.
        """
        if array.nbytes <= self.left:
            self.left -= array.nbytes
            return array
        if self.used + array.nbytes > len(self.chunk):
            size = max(CHUNK, array.nbytes)
            with tempfile.TemporaryFile() as file:
                self.chunk, self.used = np.asarray(np.memmap(file, np.uint8, "w+", shape=size)), 0
        place = self.chunk[self.used : self.used + array.nbytes].view(array.dtype).reshape(array.shape)
        place[...] = array
        self.used += array.nbytes
        return place

    def keep_all(self, record: Any) -> Any:
        """Keep a picture, or all pictures of a record."""
        if isinstance(record, np.ndarray):
            return self.keep(record)
        arrays = {name: value for name, value in vars(record).items() if isinstance(value, np.ndarray)}
        return dataclasses.replace(record, **{name: self.keep(value) for name, value in arrays.items()})

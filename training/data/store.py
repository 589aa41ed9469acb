"""Where decoded pictures are kept: in memory, and beyond a limit in temporary files."""

from __future__ import annotations

import dataclasses
import tempfile
from typing import Any

import numpy as np

CHUNK = 1 << 30
"""Bytes of one temporary file."""


class Store:
    """Keeps arrays in memory until a limit is reached, and those after it in files, of which only crops are read.

    The files have no name and vanish with the process, however it ends.
    """

    def __init__(self, limit: float) -> None:
        """`limit`: bytes."""
        self.left, self.used = limit, 0
        self.chunk = np.zeros(0, np.uint8)

    def keep(self, array: np.ndarray) -> np.ndarray:
        """The same values, wherever they are now; arrays of bytes or bools.

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
        """A picture, or a record of pictures, with every array kept."""
        if isinstance(record, np.ndarray):
            return self.keep(record)
        arrays = {name: value for name, value in vars(record).items() if isinstance(value, np.ndarray)}
        return dataclasses.replace(record, **{name: self.keep(value) for name, value in arrays.items()})

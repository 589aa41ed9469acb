"""Rows of a mask on a processor under test."""

from __future__ import annotations

import numpy as np

from spair.runtime.cpu.library.structures import Compaction

SIZES = [(1, 1), (1, 9), (7, 1), (5, 6), (33, 47)]
MASKS = ["empty", "one pixel", "all", "few", "half", "nearly all"]
_SHARES = {"few": 0.07, "half": 0.5, "nearly all": 0.95}


def make_mask(kind: str, size: tuple[int, int]) -> np.ndarray:
    """Return [H, W] bool."""
    random = np.random.default_rng(len(kind))
    if kind in _SHARES:
        return random.random(size) < _SHARES[kind]
    mask = np.full(size, kind == "all")
    if kind == "one pixel":
        mask[size[0] // 2, size[1] - 1] = True
    return mask


class Listed:
    """Rows of a mask."""

    def __init__(self, processor, memory, mask, *, ordered=True):
        height, width = mask.shape
        self.mask = memory.put(mask, np.uint8)
        self.numbers = memory.empty((height + 2, width + 2), np.int32)
        first = memory.empty(height + 1, np.int64)
        call = Compaction(self.mask.ctypes.data, first.ctypes.data, self.numbers.ctypes.data)
        call.height, call.width = height, width
        self.count = processor.run("count_rows", memory, call)
        self.place = memory.empty(self.count, np.int32)
        self.near = memory.empty(self.count, np.uint16) if ordered else None
        call.place, call.near = self.place.ctypes.data, self.near.ctypes.data if ordered else None
        processor.run("list_rows", memory, call)
        self.wide = width + 2

    def pick(self, memory, planes, stride):
        """Return the rows [1 + count, stride] of planes [C, H, W], zeros behind the channels and in row 0."""
        rows = memory.put(np.zeros((self.count + 1, stride)))
        padded = np.pad(planes, ((0, 0), (1, 1), (1, 1)))
        rows[1:, : len(planes)] = padded.reshape(len(planes), -1)[:, self.place].T
        return rows

    def spread(self, rows):
        """Return [C, H, W] of rows [1 + count, C], zeros at other pixels."""
        dense = np.zeros((rows.shape[1], self.numbers.size), np.float32)
        dense[:, self.place] = rows[1:].T
        return dense.reshape(rows.shape[1], *self.numbers.shape)[:, 1:-1, 1:-1]

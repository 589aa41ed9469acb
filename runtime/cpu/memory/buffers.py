"""Buffers that are kept between pictures."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_SLACK = 64
"""Bytes behind each array that kernels may read but not use, a vector of AVX-512."""
_ALIGNMENT = 64
_NOTES = 8
_SPARE = 8
"""One part in this number is added to a buffer that grows, so that it does not grow with every picture."""


KEPT_BYTES = 2**29
"""Bytes above which an array that rests is given back before a new one is made. At 1920x1080 only pictures that are
distorted nearly all over come to it; they take seconds, beside which fresh memory costs little."""


class Buffers:
    """Arrays by name that only grow.

    Fresh memory costs more than the work on it: the system clears each page when it is first touched. So all arrays are
    kept, unless together they would take more than a limit; then those that rest make room.
    """

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        """Begin without arrays.

        Args:
            limit: bytes above which arrays that rest are given back.
        """
        self._held: dict[Hashable, np.ndarray] = {}
        self._resting: dict[Hashable, None] = {}
        self._limit = limit
        self._notes: dict[Hashable, Any] = {}
        self.generation = 0
        """Number of arrays that were made so far; while it stays the same, addresses are valid."""

    def take(self, name: Hashable, count: int, dtype: Any = np.float32) -> np.ndarray:
        """Return an array of a name.

        Its values are those of its last use, or arbitrary. What an earlier call of the same name returned is no longer
        to be used.

        Args:
            name: any name.
            count: number of elements.
            dtype: their type.

        Returns:
            A flat array that begins at a cache line.
        """
        size = count * np.dtype(dtype).itemsize
        self._resting.pop(name, None)
        if name in self._held and self._held[name].nbytes < size + _SLACK:
            del self._held[name]  # its memory is free before the new one is asked for
            self._held[name] = self._make(size + size // _SPARE + _SLACK)
        held = self._held.get(name)
        if held is None:
            held = self._held[name] = self._make(size + _SLACK)
        return held[:size].view(dtype)

    def rest(self, names: Iterable[Hashable]) -> None:
        """Let arrays rest until they are taken again.

        Nobody reads them before, so that they may be given back.

        Args:
            names: names of arrays; those that are not held are passed over.
        """
        self._resting |= dict.fromkeys(name for name in names if name in self._held)

    def note(self, name: Hashable, value: Any) -> None:
        """Keep something that holds addresses of the arrays.

        It is forgotten when an array is made or given back. At most `_NOTES` are kept.

        Args:
            name: any name.
            value: what `recall` returns.
        """
        while len(self._notes) >= _NOTES:
            del self._notes[next(iter(self._notes))]
        self._notes[name] = value

    def recall(self, name: Hashable) -> Any:
        """Return what was noted, or None if it is forgotten."""
        return self._notes.get(name)

    def _make(self, size: int) -> np.ndarray:
        self._notes.clear()
        self.generation += 1
        while self._resting and self.nbytes + size > self._limit:
            name = next(iter(self._resting))  # what rests longest
            del self._resting[name], self._held[name]
        return _aligned(size)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self._held.values())


def _aligned(size: int) -> np.ndarray:
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size]


@dataclass(frozen=True)
class Use:
    """Values that a step reads and makes."""

    reads: tuple[Hashable, ...]
    """Values that it reads, that of `replaces` among them."""
    out: Hashable
    """Value that it makes."""
    pool: Hashable
    """Pool of buffers that the value may stand in; values of one pool have about the same size."""
    replaces: Hashable = None
    """Value in whose buffer the new one may stand if nobody reads it later."""


def assign_buffers(
    uses: Sequence[Use], kept: frozenset[Hashable] = frozenset()
) -> dict[Hashable, tuple[Hashable, int]]:
    """Assign each value to a free buffer.

    A buffer is free from the last step on that reads its value.

    Args:
        uses: the steps in their order.
        kept: values that are needed after the last step.

    Returns:
        Pool and number of the buffer, for each value that a step makes.
    """
    last = {name: place for place, use in enumerate(uses) for name in (*use.reads, use.out)}
    last |= {name: len(uses) for name in kept}
    where: dict[Hashable, tuple[Hashable, int]] = {}
    live: set[Hashable] = set()
    for place, use in enumerate(uses):
        old = where.get(use.replaces)
        if old is not None and old[0] == use.pool and last[use.replaces] == place:
            where[use.out] = old
        else:
            taken = {where[name] for name in live}
            where[use.out] = next((use.pool, n) for n in range(len(uses) + 1) if (use.pool, n) not in taken)
        live = {name for name in (*live, use.out) if last[name] > place}
    return where

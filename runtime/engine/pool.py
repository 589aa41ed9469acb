"""Slots of an engine, shared by threads."""

from __future__ import annotations

import logging
import math
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from ..cuda import Cuda, CudaError
from .errors import EngineError, LostGpuError
from .slot import Slot, SlotOptions
from .tensorrt import LoadedEngine

_LOG = logging.getLogger("spair.tensorrt")
_STEP = 4
"""Ratio of the numbers of pixels of neighbouring buckets."""
_BUCKETS = 4
"""Number of buckets: small pictures do not hold the memory that large ones need."""


class SlotPool:
    """Pool of slots.

    It has a bucket for each range of picture sizes. A thread takes a slot of its picture's bucket, or waits for one.
    Slots are made when they are needed, and keep their memory.
    """

    def __init__(self, cuda: Cuda, engine: LoadedEngine, *, lead: str, slots: int, options: SlotOptions) -> None:
        """Make an empty pool.

        Args:
            cuda: the driver.
            engine: the engine, which the pool takes over.
            lead: input whose number of values decides on the bucket.
            slots: number of slots of a bucket, at least 1.
            options: how slots wait and repeat.
        """
        self._cuda, self._lead, self._slots, self._options = cuda, lead, slots, options
        self._engine: LoadedEngine | None = engine
        self._largest = math.prod(next(one.largest for one in engine.tensors if one.name == lead))
        self._free = threading.Condition()
        self._idle: dict[int, list[Slot]] = defaultdict(list)
        self._made: dict[int, int] = defaultdict(int)
        self._lost: str | None = None
        self._closed = False

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the engine on a free slot.

        Threads may call this.

        Args:
            feeds: an array for each input, of exactly its type.

        Returns:
            A new array for each output.

        Raises:
            EngineError: TensorRT refuses.
            LostGpuError: the GPU was lost, and stays so until the process ends.
            MemoryError: the GPU has too little memory, also without the slots that are idle.
        """
        size = feeds[self._lead].size
        bound = self._find_bound(size)
        with self._cuda.current():
            try:
                return self._run(feeds, bound, bound / size)
            except CudaError as error:
                if not error.out_of_memory:
                    raise self._judge(error) from error
            self._free_idle()
            try:
                return self._run(feeds, bound, 1.0)
            except CudaError as error:
                raise self._judge(error) from error

    @contextmanager
    def own_slot(self, options: SlotOptions) -> Iterator[Slot]:
        """Make a slot beside those of the pool, for measurements.

        The CUDA context is current in the `with` block, at whose end the slot is closed.

        Args:
            options: its options.

        Raises:
            EngineError, LostGpuError, MemoryError: see `run`.
        """
        with self._cuda.current():
            if self._closed or self._engine is None:
                raise EngineError("the restorer was closed")
            try:
                slot = Slot(self._cuda, self._engine, options)
                try:
                    yield slot
                finally:
                    slot.close()
            except CudaError as error:
                raise self._judge(error) from error

    def _run(self, feeds: Mapping[str, np.ndarray], bound: int, growth: float) -> dict[str, np.ndarray]:
        slot = self._take(bound)
        try:
            values = slot.run(feeds, growth)
        except BaseException:
            self._discard(slot, bound)
            raise
        self._give_back(slot, bound)
        return values

    def _find_bound(self, size: int) -> int:
        """Return the largest number of values of a picture's bucket."""
        bounds = [self._largest // _STEP**step for step in reversed(range(_BUCKETS))]
        return next((bound for bound in bounds if size <= bound), size)

    def _take(self, bound: int) -> Slot:
        """Return an idle or new slot, or wait for one."""
        with self._free:
            while True:
                if self._lost:
                    raise LostGpuError(self._lost)
                if self._closed or self._engine is None:
                    raise EngineError("the restorer was closed")
                if self._idle[bound]:
                    return self._idle[bound].pop()
                if self._made[bound] < self._slots:
                    self._made[bound] += 1
                    break
                self._free.wait()
        try:
            return Slot(self._cuda, self._engine, self._options)
        except BaseException:
            self._forget(bound)
            raise

    def _give_back(self, slot: Slot, bound: int) -> None:
        with self._free:
            if not self._closed:
                self._idle[bound].append(slot)
                self._free.notify_all()
                return
        self._discard(slot, bound)

    def _discard(self, slot: Slot, bound: int) -> None:
        slot.close()
        self._forget(bound)

    def _forget(self, bound: int) -> None:
        with self._free:
            self._made[bound] -= 1
            self._free.notify_all()

    def _free_idle(self) -> None:
        """Close the slots that nobody uses."""
        with self._free:
            idle = [(slot, bound) for bound, slots in self._idle.items() for slot in slots]
            self._idle.clear()
        for slot, bound in idle:
            self._discard(slot, bound)

    def _judge(self, error: CudaError) -> Exception:
        """Turn the driver's refusal into the caller's error."""
        if error.out_of_memory:
            return MemoryError(
                f"the GPU has too little memory ({error}); restore a smaller picture, or end what uses it"
            )
        if error.fatal:
            with self._free:
                self._lost = (
                    f"the GPU was lost ({error}), and nothing runs on it any more in this process; start it again"
                )
                self._free.notify_all()
            return LostGpuError(self._lost)
        return EngineError(str(error))

    def close(self) -> None:
        """Close idle slots and let the engine go.

        Slots in use are closed when they are given back.
        """
        with self._free:
            if self._closed:
                return
            self._closed = True
            self._free.notify_all()
        try:
            with self._cuda.current():
                self._free_idle()
                self._engine = None
        except CudaError as error:  # the context of a lost GPU; the process gives all back at its end
            _LOG.error("closing: %s", error)

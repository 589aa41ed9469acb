"""Measure what a call costs outside of its engine.

Run from the repository root: `python -m benchmarks.engine_overhead [--size 1920x1080]`. The GPU is a stub whose memory
is the host's and whose calls do nothing, so it needs neither GPU nor TensorRT. What remains of `Restorer.__call__` are
the copies between the caller's arrays and pinned memory, which any program needs, and our own work. The table has both,
and the milliseconds beside the copies. It exits 1 when they are above the goal. What the driver's own calls cost (three
for a picture whose work is captured) is not in it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.common.measuring import require_equal, take_turns
from spair.runtime import Restorer
from spair.runtime.engine.graph import EngineGraph, GraphOnDemand
from spair.runtime.engine.network import EngineNetwork
from spair.runtime.engine.pool import SlotPool
from spair.runtime.engine.slot import SlotOptions
from spair.runtime.engine.tensorrt import Tensor
from spair.runtime.machine.report import describe_machine, machine_line
from spair.runtime.tiling.spec import SpairNetwork

GOAL_MS = 0.3
"""Most milliseconds beside the copies, for a picture of 1920x1080."""
LARGEST = (2160, 3840)


class StubMemory:
    """Memory, stream and event of the stub."""

    handle = address = 1

    def __init__(self, size: int = 1) -> None:
        self.array = np.zeros(size, np.uint8)

    def record(self, stream: Any) -> None:
        """Do nothing."""

    def synchronize(self) -> None:
        """Do nothing."""

    def launch(self, stream: Any) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class StubCuda:
    """Driver whose calls do nothing."""

    name, integrated = "stub", False

    @contextmanager
    def current(self) -> Iterator[None]:
        """Do nothing."""
        yield

    def make_stream(self) -> StubMemory:
        """Make a stream."""
        return StubMemory()

    def make_event(self, *, timing: bool = False, spin: bool = False) -> StubMemory:
        """Make an event."""
        return StubMemory()

    def allocate(self, size: int) -> StubMemory:
        """Make memory that nobody touches."""
        return StubMemory()

    def allocate_pinned(self, size: int, *, mapped: bool = False) -> StubMemory:
        """Make memory of the host."""
        return StubMemory(size)

    def copy_in(self, *arguments: Any) -> None:
        """Do nothing."""

    def copy_out(self, *arguments: Any) -> None:
        """Do nothing."""

    def capture(self, stream: Any, enqueue: Callable[[], None]) -> StubMemory:
        """Queue the work once."""
        enqueue()
        return StubMemory()


class StubContext:
    """Execution context that computes nothing."""

    def __init__(self) -> None:
        self._shape: tuple[int, ...] = ()

    def set_shape(self, name: str, shape: Sequence[int]) -> None:
        """Take the picture's shape."""
        self._shape = tuple(shape)

    def read_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return {"mask": self._shape[:3], "total": self._shape[:1]}.get(name, self._shape)

    def set_address(self, name: str, address: int) -> None:
        """Do nothing."""

    def measure_scratch(self) -> int:
        """Need no working memory."""
        return 0

    def enqueue(self, stream: int) -> None:
        """Do nothing."""


class StubEngine:
    """Engine with the tensors of a whole network."""

    where, scratch_size = "stub.engine", 0
    tensors = (
        Tensor("image", np.dtype(np.uint8), True, (1, *LARGEST, 3)),
        Tensor("restored", np.dtype(np.uint8), False, ()),
        Tensor("mask", np.dtype(np.uint8), False, ()),
        Tensor("total", np.dtype(np.float32), False, ()),
    )

    def make_context(self) -> StubContext:
        """Make a context."""
        return StubContext()


def open_stub() -> Restorer:
    """Open a restorer on the stub."""
    engine: Any = StubEngine()
    pool = SlotPool(StubCuda(), engine, lead="image", slots=1, options=SlotOptions())  # type: ignore[arg-type]

    def refuse() -> EngineGraph:
        raise AssertionError("a picture that fits goes through the whole engine")

    network = EngineNetwork(
        SpairNetwork(halo_l=80, halo_r=48),
        EngineGraph(engine.tensors, pool),
        GraphOnDemand(refuse),
        GraphOnDemand(refuse),
        lambda: None,
    )
    return Restorer(network, backend="stub")


def copy_only(image: np.ndarray) -> Callable[[], tuple[np.ndarray, ...]]:
    """Make the copies that any program needs for a picture.

    They are of the picture in, and of the result and the mask out.
    """
    pinned, restored = np.zeros_like(image), np.zeros_like(image)
    mask = np.zeros(image.shape[:2], np.uint8)

    def run() -> tuple[np.ndarray, ...]:
        np.copyto(pinned, image)
        return restored.copy(), mask.copy()

    return run


def main() -> int:
    """Print the table.

    The exit status is 1 when a call costs more than the goal.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--repeat", type=int, default=201)
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    with open_stub() as restorer:
        copies = copy_only(image)
        require_equal("the call", restorer(image).image, copies()[0])
        times = take_turns({"call": lambda: restorer(image), "copies": copies}, arguments.repeat, settle=0.0)
    beside = times["call"].median - times["copies"].median
    print(machine_line(describe_machine()))
    print(f"{arguments.size}: call {times['call'].median:.2f} ms, copies {times['copies'].median:.2f} ms")
    print(f"beside the copies: {beside:.2f} ms (goal for 1920x1080: {GOAL_MS} ms)")
    return int(beside > GOAL_MS)


if __name__ == "__main__":
    raise SystemExit(main())

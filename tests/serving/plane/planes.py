"""Data planes on an event loop of their own, for tests that are plain functions."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from spair.serving.access_log import AccessLog
from spair.serving.options import Limits, ModelOptions
from spair.serving.plane.messages import InferAnswer, InferRequest
from spair.serving.plane.plane import DataPlane
from spair.serving.plane.workers.opening import OPENER
from spair.serving.tensors import Tensor, pack_bytes
from tests.patience import PATIENCE
from tests.processes import is_running

T = TypeVar("T")


class Running:
    """A started plane with the loop that it belongs to."""

    def __init__(self, plane: DataPlane, loop: asyncio.AbstractEventLoop) -> None:
        self.plane, self._loop = plane, loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end; a lost answer fails the test rather than hang it."""
        return self._loop.run_until_complete(asyncio.wait_for(work, PATIENCE))

    def infer(self, values: np.ndarray, model: str = "m", **fields: Any) -> InferAnswer:
        """Answer a request with pixels [N, 3, H, W]."""
        return self.run(self.plane.infer(ask(values, model, **fields)))

    def infer_file(self, data: bytes, model: str = "m_bytes", **fields: Any) -> InferAnswer:
        """Answer a request with a picture file."""
        return self.run(self.plane.infer(InferRequest(model, (pack_bytes("image", [data]),), **fields)))

    def pid(self, model: str = "m") -> int:
        """Number of the model's process."""
        worker = self.plane._supervisors[model].worker
        assert worker is not None
        return worker.pid

    def restarts(self, model: str = "m") -> int:
        """Number of restarts as the metrics say it."""
        line = f'spair_worker_restarts_total{{model="{model}"}} '
        text = self.plane.render_metrics()[0].decode()
        return int(float(text.partition(line)[2].partition("\n")[0]))


@contextlib.contextmanager
def running(
    models: Mapping[str, Path],
    options: ModelOptions | None = None,
    limits: Limits | None = None,
    *,
    log: AccessLog | None = None,
    opener: str = OPENER,
) -> Iterator[Running]:
    """Start a plane, and close it at the end of the block."""
    loop = asyncio.new_event_loop()
    try:
        plane = DataPlane(models, options or ModelOptions(), limits or Limits(), log, opener=opener)
        one = Running(plane, loop)
        one.run(plane.start())
        try:
            yield one
        finally:
            one.run(plane.close())
            loop.run_until_complete(loop.shutdown_default_executor())
            assert not asyncio.all_tasks(loop), "the plane left tasks behind"
    finally:
        loop.close()


def ask(values: np.ndarray, model: str = "m", **fields: Any) -> InferRequest:
    """Make a request with pixels [N, 3, H, W]."""
    return InferRequest(model, (Tensor("image", "UINT8", values),), **fields)


def command(number: int) -> np.ndarray:
    """Make the picture of a command, see `commanded`."""
    return np.full((1, 3, 1, 1), number, np.uint8)


def pictures(count: int = 1, height: int = 3, width: int = 5, seed: int = 0) -> np.ndarray:
    """Make pictures of noise."""
    return np.random.default_rng(seed).integers(0, 256, (count, 3, height, width), np.uint8)


def calls(folder: Path, value: int | None = None) -> Any:
    """List the first values of all pictures that were computed, or count those of one value."""
    file = folder / "calls"
    found = [int(line.split()[1]) for line in file.read_text().split("\n") if line] if file.exists() else []
    return found if value is None else found.count(value)


async def infer(one: Running, values: np.ndarray, **fields: Any) -> InferAnswer:
    """Answer a request with pixels, beside others."""
    return await one.plane.infer(ask(values, **fields))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; one that never comes true fails what runs the wait."""
    while not condition():
        await asyncio.sleep(0.002)


def list_descriptors() -> list[str]:
    """List what this process has open."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that lists them is gone by now
            found.append(str(entry.readlink()))
    return sorted(name for name in found if not name.startswith("/proc/"))


def list_opened(before: Sequence[str]) -> list[str]:
    """List what this process has open more than before.

    What other tests have left open, such as connections of gRPC, may be closed meanwhile.
    """
    return sorted((Counter(list_descriptors()) - Counter(before)).elements())


def list_children() -> list[int]:
    """List the child processes of this process that compute for a plane.

    Other tests of the session may have servers of their own running.
    """
    words = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(word) for word in words if is_running(int(word)) and _is_worker(int(word))]


def _is_worker(pid: int) -> bool:
    with contextlib.suppress(OSError):  # it ended meanwhile
        return b"spair.serving.plane.workers" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False

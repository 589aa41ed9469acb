"""Settings that all objects of one double share."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import onnx

from tests.emulated.double.listeners import ILogger
from tests.emulated.double.plan import MAGIC, Plan
from tests.emulated.driver.gpu import EmulatedGPU

if TYPE_CHECKING:
    from tests.emulated.double.execution import Executor


class Libraries(Protocol):
    """Loader of plugin libraries.

    It also makes the executors of plans with plugins.
    """

    def load(self, path: str, log: ILogger) -> Any:
        """Return a handle, or None."""

    def executor(self, plan: Plan, handles: Sequence[Any]) -> Executor | None:
        """Return an executor, or None where a creator is absent."""


LAYER_TIME = 0.001
"""Milliseconds of the first emulated layer; the second takes twice as long, and so on."""


def time_by_place(node: onnx.NodeProto, index: int) -> float:
    """Return a layer's milliseconds by its place."""
    return LAYER_TIME * (index + 1)


@dataclass
class World:
    """Settings of a double."""

    gpu: EmulatedGPU
    version: str
    magic: bytes = MAGIC
    libraries: Libraries | None = None
    """None: no plugin library loads."""
    threads: int = 1
    """Threads of ONNX Runtime."""
    plans: Mapping[str, Plan] = field(default_factory=dict)
    """SHA-256 of a plan that a real builder made -> its content."""
    engines: weakref.WeakSet[Any] = field(default_factory=weakref.WeakSet)
    layer_time: Callable[[onnx.NodeProto, int], float] = time_by_place
    """Function that returns a layer's milliseconds for a profiler, by its node and its place."""

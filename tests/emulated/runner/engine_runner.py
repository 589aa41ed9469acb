"""Runner of an engine on slots of one shape."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.emulated.runner.device import Device, RunError
from tests.emulated.runner.slot import Shapes, Slot


class EngineRunner:
    """Engine with its plugin library, and slots that take turns."""

    def __init__(
        self,
        trt: Any,
        device: Device,
        plan: bytes,
        shapes: Shapes,
        *,
        slots: int = 1,
        graph: bool = True,
        library: Path | None = None,
        slot: type[Slot] = Slot,
    ) -> None:
        self._device, self._next = device, 0
        self.slots: list[Slot] = []
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        with device.current():
            if library is not None and self._runtime.get_plugin_registry().load_library(str(library)) is None:
                raise RunError(f"TensorRT does not load the plugin library {library}")
            self._engine = self._runtime.deserialize_cuda_engine(plan)
            if self._engine is None:
                raise RunError("TensorRT does not take the engine; its log says why")
            try:
                for _ in range(slots):
                    self.slots.append(slot(device, trt, self._engine, shapes, graph))
            except BaseException:
                self.close()
                raise

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs of one inference.

        Threads may call this.
        """
        self._next += 1
        return self.slots[self._next % len(self.slots)].run(feeds)

    def close(self) -> None:
        """Close the slots, the engine and the runtime."""
        with self._device.current():
            while self.slots:
                self.slots.pop().close()
            self._engine = self._runtime = None

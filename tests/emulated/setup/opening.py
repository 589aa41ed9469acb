"""Plan, pictures and runner of the tests."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import onnx

from tests.emulated.double.execution import open_session
from tests.emulated.runner.device import Device
from tests.emulated.runner.engine_runner import EngineRunner
from tests.emulated.runner.slot import Slot
from tests.emulated.setup.graphs import make_network

SIZE = (24, 32)
MOST = (48, 64)
"""Usual and largest height and width."""


class Setup:
    """Plan of a small network, pictures, and expected results."""

    def __init__(self, trt: ModuleType, write_plan: Callable[..., bytes]) -> None:
        self.trt, self.model = trt, make_network()
        self.plan = write_plan(self.model, [{"image": ((1, 3, 1, 1), (1, 3, *SIZE), (1, 3, *MOST))}])
        self.pictures = [np.random.default_rng(seed).random((1, 3, *SIZE), np.float32) for seed in range(4)]
        self.expected = [run_onnx(self.model, {"image": picture})["restored"] for picture in self.pictures]


def run_onnx(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return all outputs of a graph by ONNX Runtime."""
    names = [value.name for value in model.graph.output]
    return dict(zip(names, open_session(model, 1).run(names, feeds), strict=True))


def open_runner(
    setup: Setup, device: Device, slot: type[Slot] = Slot, size: tuple[int, int] = SIZE, **options: Any
) -> EngineRunner:
    """Return a runner for pictures of one size."""
    return EngineRunner(setup.trt, device, setup.plan, {"image": (1, 3, *size)}, slot=slot, **options)

"""Builder of engines for the emulated GPU.

It stands in for the process in which TensorRT builds. Its engines hold the graph that was given, which ONNX Runtime
computes; whether the plugins are there is checked when an engine is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

from spair.export.engines.builder import PLUGIN_LAYER
from tests.emulated.double.execution import OnnxExecutor
from tests.emulated.double.plan import Plan

DOMAIN = "spair"


class EmulatedBuilder:
    """Function that `spair.export.engines.builder.run_worker` is replaced by."""

    def __init__(self, write_plan: Callable[..., bytes]) -> None:
        self._write_plan = write_plan
        self.jobs: list[dict[str, Any]] = []
        """Builds that were asked for, in order."""

    def __call__(self, job: dict[str, Any], folder: Path, supervision: object) -> dict[str, Any]:
        self.jobs.append(job)
        model = onnx.load(job["graph"])
        profile = {name: tuple(map(tuple, shapes)) for name, shapes in job["inputs"].items()}
        plugins = bool(job["library"]) and any(node.domain == DOMAIN for node in model.graph.node)
        Path(job["engine"]).write_bytes(self._write_plan(model, [profile], plugins=plugins))
        bodies = [[node.name, node.op_type] for node in model.graph.node]
        layers = [
            [node.name, PLUGIN_LAYER if plugins and node.domain == DOMAIN else node.op_type]
            for node in model.graph.node
        ]
        return {"layers": layers, "bodies": bodies, "notes": []}


class AnyLibrary:
    """Registry's side of a plugin library; engines with plugins need one, and run as their function bodies."""

    def load(self, path: str, log: object) -> object:
        return object() if Path(path).is_file() else None

    def executor(self, plan: Plan, handles: object) -> OnnxExecutor:
        return OnnxExecutor(plan.graph, 1)

"""Times of an engine's layers, and TensorRT's words about them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...engine.graph import EngineGraph
from ...engine.slot import SlotOptions

RUNS = 10
"""Number of runs in which layers are timed, after those that warm up."""
_WARM_UP = 2


class LayerWatch:
    """Receiver of TensorRT's times of layers.

    Layers of one name are told apart by their place: each run reports all layers in the same order.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        """Names in the engine's order."""
        self.times: list[list[float]] = []
        """Milliseconds of each run, by layer."""
        self._next = 0
        self._complete = False

    def receive(self, name: str, ms: float) -> None:
        """Take one time."""
        if self._complete:
            self.times[self._next].append(ms)
            self._next = (self._next + 1) % len(self.names)
            return
        self.names.append(name)
        self.times.append([ms])

    def end_run(self) -> None:
        """Note that a run has reported all layers."""
        self._complete = True

    @property
    def count(self) -> int:
        """Number of complete runs."""
        return len(self.times[-1]) if self.times else 0


def measure_layers(graph: EngineGraph, feeds: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Time the layers of an engine.

    They have runs of their own, without a CUDA graph.
    TensorRT waits for every layer then, so the sum is more than the time of the engine.

    Args:
        graph: the engine.
        feeds: an array for each input.

    Returns:
        {"runs", "ms", "detailed", "layers": [{"name", "type", "ms", "median_ms", "total_ms", "share"}], "information"}.
        "ms" are means of a run; "type" is None where the engine has only names; "information" is TensorRT's own JSON.

    Raises:
        EngineError, MemoryError: see `SlotPool.run`.
    """
    watch = LayerWatch()
    with graph.own_slot(SlotOptions(graph=False)) as slot:
        slot.prepare(graph.convert(feeds))
        for _ in range(_WARM_UP):
            slot.repeat()
        slot.report_layers(watch.receive)
        for _ in range(RUNS):
            slot.repeat()
            watch.end_run()
        information, detailed = json.loads(slot.describe_layers()), slot.detailed
    types = _read_types(information)
    totals = [sum(times) for times in watch.times]
    whole = sum(totals)
    layers = [
        {
            "name": name,
            "type": types.get(name),
            "ms": round(total / watch.count, 5),
            "median_ms": round(statistics.median(times), 5),
            "total_ms": round(total, 5),
            "share": round(total / whole, 5) if whole else 0.0,
        }
        for name, times, total in zip(watch.names, watch.times, totals, strict=True)
    ]
    mean = round(whole / watch.count, 4) if watch.count else 0.0
    return {"runs": watch.count, "ms": mean, "detailed": detailed, "layers": layers, "information": information}


def _read_types(information: Mapping[str, Any]) -> dict[str, str]:
    """Return the types of layers by name.

    An engine with names only lists texts in place of objects.
    """
    layers = [layer for layer in information["Layers"] if isinstance(layer, dict)]
    return {layer["Name"]: layer.get("PluginType") or layer["LayerType"] for layer in layers if "LayerType" in layer}

"""Times of a bundle's layers, in graphs or on kernels."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...temporary.places import scratch_folder
from ..backends.onnxruntime import OnnxGraph
from ..backends.trace import LayerTime, Trace, read_trace, sum_by_operator
from ..bundle.reader import Bundle
from ..cpu.opening import BACKEND, open_cpu_network, read_rows
from ..cpu.program import MapStep, RowProgram, RowStep
from ..opening import open_network
from ..restorer import Restorer
from ..tiling.planning import PathChoice
from .cases import RunSetting

PICTURES = 3
"""Number of pictures whose times are averaged, after one that warms up."""


def measure_layers(
    bundle: Bundle, setting: RunSetting, image: np.ndarray, mask: np.ndarray | None
) -> list[dict[str, Any]]:
    """Profile every graph or stage that a restorer uses.

    A restorer feeds them, so their inputs are real.

    Args:
        bundle: a bundle of either kind.
        setting: settings with which it is run.
        image: picture as `Restorer` takes it.
        mask: [H, W] bool for a two-stage network, None for a foreign one.

    Returns:
        An entry for each graph: {"graph", "ms", "calls", "operators": [{"operator", "count", "ms", "share"}],
        "layers": [{"name", "operator", "what", "ms", "share"}]}. Times are for one picture, the longest first.

    Raises:
        UserError: the bundle has no graphs of that precision, or a restorer refuses the tile.
    """
    if mask is None:
        return [_entry(part, trace) for part, trace in _profile(bundle, setting, image, None, "auto", ["model"])]
    if setting.backend == BACKEND:
        return [_entry(part, trace) for part, trace in _watch_kernels(bundle, setting, image, mask)]
    traces = _profile(bundle, setting, image, mask, "dense", ["net_l", "net_r"])
    if bundle.has_graph(setting.precision, "net_r_packed"):
        traces += _profile(bundle, setting, image, mask, "packed", ["net_r_packed"])
    return [_entry(part, trace) for part, trace in traces]


def _profile(
    bundle: Bundle,
    setting: RunSetting,
    image: np.ndarray,
    mask: np.ndarray | None,
    path: PathChoice,
    parts: Sequence[str],
) -> list[tuple[str, Trace]]:
    stems = {part: bundle.graph(setting.precision, part).stem for part in parts}
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder("profile"))
        graphs: dict[str, OnnxGraph] = {}

        def open_graph(file: Path, threads: int | None) -> OnnxGraph:
            graphs[file.stem] = OnnxGraph(file, threads=threads, trace=folder)
            return graphs[file.stem]

        network = open_network(bundle, setting.precision, open_graph, threads=setting.threads, path=path)
        stack.callback(network.close)
        restorer = Restorer(network, tile=setting.tile)
        for _ in range(1 + PICTURES):
            restorer(image, mask=mask)
        return [
            (part, read_trace(graphs[stem].end_trace(), warm_up=1, pictures=PICTURES)) for part, stem in stems.items()
        ]


class _Watched:
    """Times of the steps of one stage."""

    def __init__(self, describe: Callable[[MapStep | RowStep], str]) -> None:
        self._describe, self._first = describe, ""
        self._seconds: dict[str, float] = {}
        self._steps: dict[str, MapStep | RowStep] = {}
        self._calls = 0

    def __call__(self, step: MapStep | RowStep, run: Callable[[], None]) -> None:
        start = time.perf_counter()
        run()
        seconds = time.perf_counter() - start
        self._first = self._first or step.out
        self._calls += step.out == self._first
        self._steps[step.out] = step
        self._seconds[step.out] = self._seconds.get(step.out, 0.0) + seconds

    def forget(self) -> None:
        """Begin anew."""
        self._seconds.clear()
        self._calls = 0

    def read(self, pictures: int) -> Trace:
        """Return the times of one picture."""
        total = sum(self._seconds.values())
        layers = [
            LayerTime(
                getattr(self._steps[name], "name", name),
                type(self._steps[name]).__name__,
                self._describe(self._steps[name]),
                1e3 * seconds / pictures,
                seconds / total,
            )
            for name, seconds in sorted(self._seconds.items(), key=lambda item: -item[1])
        ]
        return Trace(1e3 * total / pictures, self._calls // pictures, tuple(layers))


def _watch_kernels(bundle: Bundle, setting: RunSetting, image: np.ndarray, mask: np.ndarray) -> list[tuple[str, Trace]]:
    network = open_cpu_network(bundle, setting.precision, threads=setting.threads)
    describe = partial(_describe, read_rows(bundle, network.precision))
    watched = {part: _Watched(describe) for part in ("net_l", "net_r")}
    with Restorer(network, tile=setting.tile) as restorer:
        network.watch(watched["net_l"], watched["net_r"])
        for turn in range(1 + PICTURES):
            restorer(image, mask=mask)
            if not turn:
                for one in watched.values():
                    one.forget()
    return [(f"{part} (kernels)", one.read(PICTURES)) for part, one in watched.items()]


def _describe(program: RowProgram, step: MapStep | RowStep) -> str:
    """Describe a step by its sizes.

    It gives "48 -> 48, 3x3, int8".
    """
    weight = getattr(step, "weight", "")
    if not weight:
        return ""
    outputs, inputs, kernel = program.arrays[weight].shape[:3]
    return f"{inputs} -> {outputs}, {kernel}x{kernel}" + (", int8" if getattr(step, "step", 0.0) else "")


def _entry(part: str, trace: Trace) -> dict[str, Any]:
    return {
        "graph": part,
        "ms": trace.total_ms,
        "calls": trace.calls,
        "operators": sum_by_operator(trace.layers),
        "layers": [asdict(layer) for layer in trace.layers],
    }

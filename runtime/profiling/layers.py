"""Times of a bundle's layers, as ONNX Runtime measures them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ...temporary.places import scratch_folder
from ..backends.onnxruntime import OnnxGraph
from ..backends.trace import Trace, read_trace, sum_by_operator
from ..bundle.reader import Bundle
from ..opening import open_network
from ..restorer import Restorer
from ..tiling.planning import PathChoice
from .cases import RunSetting

PICTURES = 3
"""Number of pictures whose times are averaged, after one that warms up."""


def measure_layers(
    bundle: Bundle, setting: RunSetting, image: np.ndarray, mask: np.ndarray | None
) -> list[dict[str, Any]]:
    """Profile every graph that a restorer uses.

    A restorer feeds the graphs, so their inputs are real.

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


def _entry(part: str, trace: Trace) -> dict[str, Any]:
    return {
        "graph": part,
        "ms": trace.total_ms,
        "calls": trace.calls,
        "operators": sum_by_operator(trace.layers),
        "layers": [asdict(layer) for layer in trace.layers],
    }

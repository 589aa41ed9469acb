"""What each layer of a bundle's graphs costs, by ONNX Runtime's own profile."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..backends.onnxruntime import OnnxGraph
from ..backends.trace import Trace, read_trace, sum_by_operator
from ..bundle.reader import Bundle
from ..opening import open_network
from ..restorer import Restorer
from ..tiling.planning import PathChoice
from .cases import RunSetting

PICTURES = 3
"""Pictures that are averaged over, after one to warm up."""


def measure_layers(
    bundle: Bundle, setting: RunSetting, image: np.ndarray, mask: np.ndarray | None
) -> list[dict[str, Any]]:
    """Profile every graph a restorer uses, fed with what a restorer feeds it.

    Args:
        bundle: of either kind.
        setting: how to run it.
        image: a picture as `Restorer` takes it.
        mask: [H, W] bool for a two-stage network, None for a foreign one.

    Returns:
        One entry a graph: {"graph", "ms", "calls", "operators": [{"operator", "count", "ms", "share"}],
        "layers": [{"name", "operator", "what", "ms", "share"}]}, all for one picture, longest first.

    Raises:
        UserError: no graphs of that precision; a tile that a restorer refuses.
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
    way: PathChoice,
    parts: Sequence[str],
) -> list[tuple[str, Trace]]:
    stems = {part: bundle.graph(setting.precision, part).stem for part in parts}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="spair-")))
        graphs: dict[str, OnnxGraph] = {}

        def open_graph(path: Path, threads: int | None) -> OnnxGraph:
            graphs[path.stem] = OnnxGraph(path, threads=threads, trace=folder)
            return graphs[path.stem]

        network = open_network(bundle, setting.precision, open_graph, threads=setting.threads, path=way)
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

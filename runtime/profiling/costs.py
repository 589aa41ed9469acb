"""Measurement of the costs that routing decides by."""

from __future__ import annotations

import statistics
from functools import partial

import numpy as np

from ..backends.base import Graph
from ..backends.registry import find_backend
from ..bundle.reader import Bundle
from ..errors import UserError
from ..tiling.context import mask_pyramid
from ..tiling.costs import Tuning
from ..tiling.spec import SpairNetwork
from .masks import make_mask
from .timing import Repeats, take_turns

SIDE = 512
"""Side in pixels of the picture that is measured on."""

_PACKED_CASES = {"small": (64, 0.0), "clean": (SIDE, 0.0), "packed": (SIDE, 0.35)}
"""Side in pixels and density of the masks on which the packed graph is timed, by name."""

_SHAPE = "blob"
"""Shape of the masks, see `make_mask`."""


def measure_tuning(
    bundle: Bundle, precision: str, threads: int | None, *, backend: str = "auto", repeats: int = 3
) -> Tuning:
    """Time the graphs of Net_R in a bundle.

    They run for some seconds, on generated masks and random values.

    Args:
        bundle: a two-stage bundle with a packed graph.
        precision: precision of the graphs.
        threads: number of threads inside an operator; None takes all cores.
        backend: name of the backend.
        repeats: number of timed runs of each case; the median counts.

    Raises:
        UserError: the bundle has no dense or no packed graph of Net_R in this precision.
    """
    missing = [part for part in ("net_r", "net_r_packed") if not bundle.has_graph(precision, part)]
    if missing or not isinstance(bundle.manifest.network, SpairNetwork):
        raise UserError(
            f"{bundle.path} has no {precision} graph {' and '.join(missing) or 'of two stages'}; "
            "only a bundle with a dense and a packed graph can be tuned"
        )
    spec, open_graph = bundle.manifest.network, find_backend(backend).open_graph
    if len(spec.channels) != len(spec.scales):
        raise UserError(f"the manifest of {bundle.path} lists no channels of its features; export the bundle again")
    seconds = {}
    for part, cases in (("net_r", {"dense": (SIDE, 0.3)}), ("net_r_packed", _PACKED_CASES)):
        graph = open_graph(bundle.graph(precision, part), threads)
        try:
            for name, (side, density) in cases.items():
                seconds[name] = _median_seconds(graph, _feeds(spec, side, density), repeats)
        finally:
            graph.close()
    masks = mask_pyramid(make_mask(_SHAPE, SIDE, SIDE, _PACKED_CASES["packed"][1]), max(spec.scales))
    return _fit(seconds, sum(share * float(mask.mean()) for share, mask in zip(spec.work, masks, strict=True)))


def _fit(seconds: dict[str, float], share: float) -> Tuning:
    """Compute costs from measured times.

    Args:
        seconds: seconds of each of `_PACKED_CASES`, and of "dense".
        share: share of the work in the case "packed", 0..1.
    """
    pixels = SIDE * SIDE
    call = seconds["small"]
    window = max(seconds["clean"] - call, 0.0)
    packed = max(seconds["packed"] - seconds["clean"], 1e-9) / share
    dense = max(seconds["dense"] - call, 1e-9)
    return Tuning(*(1e9 * value for value in (dense / pixels, packed / pixels, window / pixels, call)))


def _feeds(spec: SpairNetwork, side: int, density: float) -> dict[str, np.ndarray]:
    random, channels = np.random.default_rng(0), spec.channels

    def noise(*shape: int) -> np.ndarray:
        return random.random((1, *shape), dtype=np.float32)

    feeds = {"image": noise(3, side, side), "mask": make_mask(_SHAPE, side, side, density)[None, None]}
    feeds |= {f"f{s}": noise(channels[s], side >> s, side >> s) for s in spec.scales}
    feeds |= {f"{what}{s}": noise(channels[s], 1, 1) for s in spec.modulated for what in ("scale", "shift")}
    feeds["keys"] = noise(channels[spec.key_scale], spec.grid, spec.grid)
    feeds["key_mask"] = np.ones((1, 1, spec.grid, spec.grid), np.float32)
    return feeds


def _median_seconds(graph: Graph, feeds: dict[str, np.ndarray], repeats: int) -> float:
    times = take_turns({"run": partial(graph.run, feeds)}, lambda name: Repeats(repeats), warm_first=True)
    return statistics.median(times["run"])

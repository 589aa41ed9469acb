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
"""Side of the picture that is measured on."""


def measure_tuning(
    bundle: Bundle, precision: str, threads: int | None, *, backend: str = "auto", repeats: int = 3
) -> Tuning:
    """Time Net_R of a bundle on made masks and random values, some seconds in all.

    Raises:
        UserError: the bundle has no dense and packed Net_R in this precision.
    """
    missing = [part for part in ("net_r", "net_r_packed") if not bundle.has_graph(precision, part)]
    if missing or not isinstance(bundle.manifest.network, SpairNetwork):
        raise UserError(
            f"{bundle.path} has no {precision} graph {' and '.join(missing) or 'of two stages'}; nothing to choose from"
        )
    spec, open_graph = bundle.manifest.network, find_backend(backend).open_graph
    if len(spec.channels) != len(spec.scales):
        raise UserError(f"{bundle.path} does not say the channels of its features; export it again")
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


_PACKED_CASES = {"small": (64, 0.0), "clean": (SIDE, 0.0), "packed": (SIDE, 0.35)}


_SHAPE = "blob"


def _fit(seconds: dict[str, float], share: float) -> Tuning:
    """Costs from the times of `_PACKED_CASES` and of a dense call, and the share of the work in the packed case."""
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

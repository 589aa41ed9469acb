"""Measurement of the costs that routing decides by."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..backends.registry import find_backend
from ..bundle.reader import Bundle
from ..cpu.memory.layers import round_channels
from ..cpu.memory.maps import interleave
from ..cpu.network import CpuNetwork, Session
from ..cpu.opening import BACKEND as CPU
from ..cpu.opening import open_cpu_network
from ..errors import UserError
from ..tiling.context import Context, mask_pyramid
from ..tiling.costs import Tuning
from ..tiling.spec import SpairNetwork
from ..tiling.two_stage import Localization
from .masks import make_mask
from .timing import Clock, Repeats, take_turns

SIDE = 512
"""Side in pixels of the picture that is measured on."""

_PACKED_CASES = {"small": (64, 0.0), "clean": (SIDE, 0.0), "packed": (SIDE, 0.35)}
"""Side in pixels and density of the masks on which the packed graph is timed, by name."""

_SHAPE = "blob"
"""Shape of the masks, see `make_mask`."""


def measure_tuning(
    bundle: Bundle,
    precision: str,
    threads: int | None,
    *,
    backend: str = "auto",
    repeats: int = 3,
    clock: Clock = time.perf_counter,
) -> Tuning:
    """Time Net_R of a bundle.

    Its graphs or the kernels are timed. It runs for some seconds, on generated masks and random values. The kernels
    have one path; what they take where all is distorted stands for the dense one.

    Args:
        bundle: a two-stage bundle with a packed graph, or a row program for "cpu".
        precision: precision of the graphs or the program.
        threads: number of threads inside an operator; None takes all cores.
        backend: name of the backend.
        repeats: number of timed runs of each case; the median counts.
        clock: returns the seconds.

    Raises:
        UserError: the bundle has no dense or no packed graph of Net_R, or no row program, in this precision.
    """
    if backend == CPU:
        seconds = _time_kernels(open_cpu_network(bundle, precision, threads=threads), repeats, clock)
        spec = bundle.manifest.network
        assert isinstance(spec, SpairNetwork)
        return _fit(seconds, _share(spec))
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
                seconds[name] = _median_seconds(partial(graph.run, _feeds(spec, side, density)), repeats, clock)
        finally:
            graph.close()
    return _fit(seconds, _share(spec))


def _time_kernels(network: CpuNetwork, repeats: int, clock: Clock) -> dict[str, float]:
    seconds = {}
    try:
        with network.session() as session:
            for name, (side, density) in {**_PACKED_CASES, "dense": (SIDE, 1.0)}.items():
                run = _prepare(session, _feeds(network.spec, side, density))
                seconds[name] = _median_seconds(run, repeats, clock)
    finally:
        network.close()
    return seconds


def _prepare(session: Session, feeds: dict[str, np.ndarray]) -> Callable[[], np.ndarray]:
    """Return a function that restores a window."""
    spec = session.spec
    maps = {s: interleave(feeds[f"f{s}"][0], round_channels(feeds[f"f{s}"].shape[1]))[None] for s in spec.scales}
    affine = [{s: feeds[f"{what}{s}"] for s in spec.modulated} for what in ("scale", "shift")]
    context = Context(affine[0], affine[1], feeds["keys"], feeds["key_mask"])
    located = Localization(feeds["mask"].astype(np.float32), maps)
    return partial(session.restore_window, feeds["image"], located, context, "packed")


def _share(spec: SpairNetwork) -> float:
    """Return the share of the work in the case "packed"."""
    masks = mask_pyramid(make_mask(_SHAPE, SIDE, SIDE, _PACKED_CASES["packed"][1]), max(spec.scales))
    return sum(share * float(mask.mean()) for share, mask in zip(spec.work, masks, strict=True))


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


def _median_seconds(run: Callable[[], Any], repeats: int, clock: Clock) -> float:
    times = take_turns({"run": run}, lambda name: Repeats(repeats), warm_first=True, clock=clock)
    return statistics.median(times["run"])

"""What Net_R costs on this machine, dense and packed: measured once, kept in the user's cache, used to plan pieces."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from .backends.registry import Graph, find_backend
from .bundle.manifest import SpairNetwork
from .bundle.reader import Bundle
from .errors import UserError
from .images.writer import write_atomically
from .machine.processor import count_cores, read_cpu_name
from .profiling.masks import make_mask
from .tiling.context import mask_pyramid

SIDE = 512
"""Side of the picture that is measured on."""


@dataclass(frozen=True)
class Tuning:
    """Costs of Net_R in nanoseconds of wall clock; only their ratios decide anything."""

    dense_ns: float
    """Dense graph, per pixel of the window."""
    packed_ns: float
    """Packed graph, per pixel that is distorted at every scale."""
    window_ns: float
    """Packed graph, per pixel of the window, distorted or not."""
    call_ns: float
    """Either graph, per call."""

    def __post_init__(self) -> None:
        costs = (self.dense_ns, self.packed_ns, self.window_ns, self.call_ns)
        if not (all(map(math.isfinite, costs)) and min(costs) >= 0 and min(costs[:2]) > 0):
            raise ValueError(f"costs must be positive and finite, got {self}")

    @classmethod
    def assumed(cls, crossover: float) -> Tuning:
        """Costs where nothing was measured: those of the development machine, with the given cross-over."""
        dense, window = 3000.0, 120.0
        return cls(dense, (dense - window) / max(crossover, 1e-6), window, 1e6)

    @property
    def crossover(self) -> float:
        """Share of the work (0..1, about the density if the mask is coarse) where both ways cost the same."""
        return min(max((self.dense_ns - self.window_ns) / self.packed_ns, 0.0), 1.0)

    def dense_cost(self, pixels: float) -> float:
        """Nanoseconds of the dense graph on a window."""
        return self.call_ns + self.dense_ns * pixels

    def packed_cost(self, pixels: float, work: float) -> float:
        """Nanoseconds of the packed graph on a window with an amount of work (see `WorkMap`)."""
        return self.call_ns + self.window_ns * pixels + self.packed_ns * work


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
    graph.run(feeds)  # first runs allocate
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        graph.run(feeds)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def cache_folder() -> Path:
    """Where measurements of this machine are kept: $SPAIR_CACHE, or spair-rt in the user's cache folder."""
    chosen = os.environ.get("SPAIR_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "spair-rt"


def save_tuning(
    bundle: Bundle, precision: str, threads: int | None, tuning: Tuning, *, backend: str = "onnxruntime"
) -> Path:
    """Keep a measurement; a failure leaves an older one unchanged.

    Raises:
        UserError: the cache folder cannot be written.
    """
    advice = "set SPAIR_CACHE to a folder that can be written"
    try:
        path = _path(bundle, precision, threads, backend)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(asdict(tuning)).encode())
    except (OSError, RuntimeError, UserError) as error:  # RuntimeError: the user has no home folder
        raise UserError(f"cannot keep the measurement of {bundle.path}: {error}; {advice}") from error
    return path


def load_tuning(bundle: Bundle, precision: str, threads: int | None, *, backend: str = "onnxruntime") -> Tuning | None:
    """The measurement of exactly these graphs, backend, processor, thread count and ONNX Runtime; None without one."""
    try:
        return Tuning(**json.loads(_path(bundle, precision, threads, backend).read_text()))
    except (OSError, RuntimeError, ValueError, TypeError):  # absent or damaged: measured again when somebody profiles
        return None


def _path(bundle: Bundle, precision: str, threads: int | None, backend: str) -> Path:
    graphs = bundle.manifest.graphs.get(precision, {})
    key = {
        "graphs": {part: bundle.manifest.files[path] for part, path in graphs.items()},
        "backend": backend,
        "machine": [platform.machine(), read_cpu_name(), count_cores()],
        "threads": threads,
        "onnxruntime": onnxruntime.__version__,
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return cache_folder() / f"tuning-{digest[:24]}.json"

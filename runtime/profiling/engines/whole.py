"""Times of the engine that finds its own mask."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from ...engine.graph import EngineGraph
from ...engine.slot import SlotOptions
from .pictures import compose_pictures
from .runs import FIRST, Clock, Rounds, TimedRuns, describe_replays, describe_runs, time_runs

Feeds = dict[str, np.ndarray]
"""Inputs of an engine by name."""


def make_feeds(graph: EngineGraph, pixels: np.ndarray) -> Feeds:
    """Make the inputs of a picture.

    Args:
        graph: engine of the whole network.
        pixels: [H, W, 3] uint8.
    """
    return graph.convert({"image": np.ascontiguousarray(pixels[None])})


def measure_steps(
    graph: EngineGraph, feeds: Feeds, options: SlotOptions, rounds: Rounds, clock: Clock = time.perf_counter
) -> tuple[dict[str, Any], TimedRuns]:
    """Time an engine plainly, then as a replayed CUDA graph.

    Each has a slot and a stream of its own, and one picture at a time.

    Returns:
        {"plain", "graph"}, see `describe_runs` and `describe_replays`; and the plain runs.

    Raises:
        EngineError, MemoryError: see `SlotPool.run`.
    """
    with graph.own_slot(replace(options, graph=False)) as slot:
        plain = time_runs(slot, feeds, rounds, clock)
    with graph.own_slot(replace(options, graph=True)) as slot:
        replays = time_runs(slot, feeds, rounds, clock)
    return {"plain": describe_runs(plain), "graph": describe_replays(replays)}, plain


def measure_together(
    graph: EngineGraph, feeds: Feeds, slots: int, rounds: Rounds, clock: Clock = time.perf_counter
) -> dict[str, Any]:
    """Time all slots of an engine together.

    As many threads as slots run pictures as the restorer does, from array to array: copies to and from pinned memory
    are included, and shapes that come again are replayed as CUDA graphs.

    Args:
        graph: the engine.
        feeds: inputs of a picture.
        slots: number of its slots.
        rounds: limits on the runs; `least` is for all threads together.
        clock: returns the seconds.

    Returns:
        {"slots", "pictures", "seconds", "per_second"}.

    Raises:
        EngineError, MemoryError: see `SlotPool.run`.
    """

    def run(seconds: float, least: int) -> int:
        begin, count = clock(), 0
        while count < least or clock() - begin < seconds:
            graph.run(feeds)
            count += 1
        return count

    with ThreadPoolExecutor(slots) as threads:
        _call_all(threads, slots, lambda: run(rounds.warm_up, FIRST))
        begin = clock()
        pictures = _call_all(threads, slots, lambda: run(rounds.seconds, -(-rounds.least // slots)))
        seconds = clock() - begin
    return {
        "slots": slots,
        "pictures": pictures,
        "seconds": round(seconds, 4),
        "per_second": round(pictures / seconds, 3) if seconds > 0 else None,
    }


def _call_all(threads: ThreadPoolExecutor, count: int, call: Callable[[], int]) -> int:
    return sum(future.result() for future in [threads.submit(call) for _ in range(count)])


def measure_pictures(
    graph: EngineGraph, pixels: np.ndarray, densities: Sequence[float], options: SlotOptions, rounds: Rounds
) -> list[dict[str, Any]]:
    """Time an engine on pictures of several densities.

    The pictures are composed of two patches of one picture, see `compose_pictures`.

    Args:
        graph: engine of the whole network.
        pixels: [H, W, 3] uint8.
        densities: densities to aim at.
        options: options of the slot, which captures nothing.
        rounds: limits on the runs with each picture.

    Returns:
        [{"asked", "density", "compute_ms", "latency_ms", "runs"}], by the density that the engine itself found; "asked"
        is the density that was aimed at, None for the picture itself.

    Raises:
        EngineError, MemoryError: see `SlotPool.run`.
    """
    own = graph.run(make_feeds(graph, pixels))["mask"][0].astype(bool)
    composed = compose_pictures(pixels, own, densities)
    pictures: list[tuple[float | None, np.ndarray]] = [(None, pixels), *composed.items()]
    rows = []
    with graph.own_slot(replace(options, graph=False)) as slot:
        for asked, picture in pictures:
            feeds = make_feeds(graph, picture)
            density = float(slot.run(feeds)["mask"].mean())
            described = describe_runs(time_runs(slot, feeds, rounds))
            kept = {key: described[key] for key in ("compute_ms", "latency_ms", "runs")}
            rows.append({"asked": asked, "density": round(density, 6), **kept})
    return sorted(rows, key=lambda row: row["density"])

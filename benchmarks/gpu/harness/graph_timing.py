"""Times of what a CUDA graph holds, between events on the GPU's own clock."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch

WARM_UP = 3
"""Runs before a capture: the first ones load kernels and choose algorithms, which a capture does not allow."""
GRAPH_MS = 1.0
"""A captured graph shall take about this long, so that what its launch costs is small beside it."""
MOST_ROUNDS = 8


def capture(runs: Sequence[Callable[[], Any]], rounds: int = 1) -> tuple[torch.cuda.CUDAGraph, list[Any]]:
    """All runs one after the other, that `rounds` times; with it, what the last round returned.

    The results of a round keep their memory until the next one's are there, so that runs do not share it.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            for run in runs:
                run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    kept: deque[Any] = deque(maxlen=len(runs))
    with torch.cuda.graph(graph, stream=stream):
        for run in list(runs) * rounds:
            kept.append(run())
    return graph, list(kept)


def time_replays(graph: torch.cuda.CUDAGraph, replays: int) -> float:
    """Median milliseconds of a replay."""
    graph.replay()
    events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(replays)]
    for begin, end in events:
        begin.record()
        graph.replay()
        end.record()
    torch.cuda.synchronize()
    return statistics.median(begin.elapsed_time(end) for begin, end in events)


def time_runs(runs: Sequence[Callable[[], Any]], replays: int) -> float:
    """Median milliseconds of one of several like runs, by turns, so that no cache holds what the next one reads."""
    graph, kept = capture(runs)
    once = time_replays(graph, 3)
    rounds = min(MOST_ROUNDS, max(1, round(GRAPH_MS / once)))
    if rounds > 1:
        del kept
        graph, kept = capture(runs, rounds)
    taken = time_replays(graph, replays) / (rounds * len(runs))
    del kept
    return taken

"""Timing of CUDA graphs between events on the GPU's clock."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch

WARM_UP = 3
"""Runs before a capture; the first ones load kernels and choose algorithms, which a capture does not allow."""
GRAPH_MS = 1.0
"""Milliseconds that a captured graph shall take, so that the cost of its launch is small beside it."""
MOST_ROUNDS = 8
"""Rounds of all runs in one graph, at most."""


def capture(runs: Sequence[Callable[[], Any]], rounds: int = 1) -> tuple[torch.cuda.CUDAGraph, list[Any]]:
    """Capture all runs one after the other, `rounds` times.

    Returns the graph and the results of the last round. The results of a round keep their memory until the next round's
    exist, so that runs do not share it.
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
    """Measure the median milliseconds of a replay."""
    graph.replay()
    events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(replays)]
    for begin, end in events:
        begin.record()
        graph.replay()
        end.record()
    torch.cuda.synchronize()
    return statistics.median(begin.elapsed_time(end) for begin, end in events)


def time_runs(runs: Sequence[Callable[[], Any]], replays: int) -> float:
    """Measure the median milliseconds of one of several like runs.

    The runs go by turns, so that no cache holds the input of the next one.
    """
    graph, kept = capture(runs)
    once = time_replays(graph, 3)
    rounds = min(MOST_ROUNDS, max(1, round(GRAPH_MS / once)))
    if rounds > 1:
        del kept
        graph, kept = capture(runs, rounds)
    taken = time_replays(graph, replays) / (rounds * len(runs))
    del kept
    return taken

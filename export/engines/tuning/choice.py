"""Choice among tilings by their times."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from .tilings import Tilings

FIRST = "first"
"""Name of a library's first choice among times."""
GAIN = 0.02
"""Share of its time that a layer must save for another tiling than the first; less is within the noise of a timing."""
Times = dict[str, dict[str, list[float]]]
"""Milliseconds under each mask, by tiling, by layer."""
Measure = Callable[[Tilings], Sequence[Mapping[str, float]]]
"""Function that builds an engine with tilings, and returns the milliseconds of each node by its name, mask by mask."""


def measure_tilings(nodes: Mapping[str, str], alternatives: Mapping[str, Sequence[str]], measure: Measure) -> Times:
    """Time the layers of a graph in every tiling.

    All layers change to their next tiling together, so few engines are built. Layers of one name add up.

    Args:
        nodes: layer's name by the node's name.
        alternatives: names of the tilings beside the first, by the layer's name.
        measure: builds and times.

    Raises:
        KeyError: an engine does not report a node.
    """
    layers = sorted(set(nodes.values()))
    turns = max((len(alternatives[layer]) for layer in layers), default=0)
    times: Times = {layer: {} for layer in layers}
    for turn in range(-1, turns):
        tilings = {layer: alternatives[layer][turn] for layer in layers if 0 <= turn < len(alternatives[layer])}
        timed = layers if turn < 0 else list(tilings)
        masks = measure(tilings)
        for layer in timed:
            own = [node for node, name in nodes.items() if name == layer]
            times[layer][tilings.get(layer, FIRST)] = [sum(mask[node] for node in own) for mask in masks]
    return times


def choose_tilings(times: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, str]:
    """Choose the fastest tiling of each layer.

    Every mask counts alike, however long it takes: what is compared is the mean of the ratios to the first choice, a
    geometric one.

    Returns:
        Names of tilings by the layer's name; layers that keep the first choice are absent.
    """
    chosen = {}
    for layer, tried in times.items():
        ratios = {name: _compare(found, tried[FIRST]) for name, found in tried.items() if name != FIRST}
        best = min(ratios, key=lambda name: ratios[name], default=None)
        if best is not None and ratios[best] <= 1 - GAIN:
            chosen[layer] = best
    return chosen


def _compare(times: Sequence[float], first: Sequence[float]) -> float:
    """Return the geometric mean of the ratios of times."""
    logs = [math.log(mine / other) for mine, other in zip(times, first, strict=True) if mine > 0 and other > 0]
    return math.exp(sum(logs) / len(logs)) if logs else 1.0

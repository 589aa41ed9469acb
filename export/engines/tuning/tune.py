"""Tuning of a graph's layers, with what was measured before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import onnx

from ....plugins.compiler.cache import Cache, make_key
from .choice import Measure, choose_tilings, measure_tilings
from .scenes import DENSITIES, SHAPE
from .tilings import Tilings, list_alternatives, name_nodes

_PART = "times.json"
"""Name of a layer's times in the cache."""


@dataclass(frozen=True)
class Tuned:
    """Times of a graph's layers, and their tilings."""

    times: Mapping[str, Mapping[str, Any]]
    """Milliseconds under each mask, by tiling, by layer."""
    tilings: Tilings

    def to_json(self) -> dict[str, Any]:
        """Describe it for the report.

        The tiling of a layer is null where it keeps the library's first choice.
        """
        return {
            layer: {"tiling": self.tilings.get(layer), "ms": dict(tried)} for layer, tried in sorted(self.times.items())
        }


def tune(
    graph: onnx.ModelProto, library: bytes, circumstances: Mapping[str, Any], cache: Cache, measure: Measure
) -> Tuned:
    """Choose the tilings of a graph's layers.

    Times are kept for each layer, so other bundles with the same library and layers need none of their own.

    Args:
        graph: prepared graph of Net_R.
        library: content of the plugin library; one that was built without alternatives leaves nothing to choose.
        circumstances: what times depend on beside layer, library and masks, as JSON values: the GPU, its driver, the
            size of the masks.
        cache: place of the times.
        measure: builds an engine with tilings and times its layers.
    """
    alternatives = list_alternatives(library)
    nodes = name_nodes(graph, alternatives)
    facts = {**circumstances, "library": hashlib.sha256(library).hexdigest(), "masks": [SHAPE, *DENSITIES]}
    keys = {layer: make_key({**facts, "tuning": layer}) for layer in set(nodes.values())}
    times = {layer: found for layer, key in keys.items() if (found := _load(cache, key)) is not None}
    missing = {node: layer for node, layer in nodes.items() if layer not in times}
    if missing:
        fresh = measure_tilings(missing, alternatives, measure)
        for layer, found in fresh.items():
            cache.store(keys[layer], {_PART: json.dumps(found).encode()})
        times |= fresh
    return Tuned(times, choose_tilings(times))


def _load(cache: Cache, key: str) -> dict[str, list[float]] | None:
    """Read what was kept; None where nothing was."""
    parts = cache.load(key)
    return json.loads(parts[_PART]) if parts and _PART in parts else None

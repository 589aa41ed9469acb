"""Speed of a precision on this machine's ONNX Runtime.

Whole graphs and single layers are timed in FP32 and in the new precision.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from ..export.operators.bodies import add_function_bodies
from ..export.operators.table import DOMAIN
from ..export.packed.packing import PackSparse
from ..runtime.backends.base import Graph
from ..runtime.machine.processor import count_cores, read_cpu_name
from ..runtime.profiling.masks import make_mask
from ..runtime.profiling.timing import Repeats, take_turns
from .conversion.convert import convert
from .conversion.layers import SIDE, Layer, element_counts, weight_of
from .conversion.plan import PrecisionPlan
from .progress import Progress
from .statistics.observe import ObservedGraph
from .statistics.pictures import CalibrationPicture
from .variants import Built, Variant

RUNS = 5
"""Number of timed runs of a graph."""
LONGEST = 20.0
"""Seconds for the timed runs of all graphs together; slow graphs run fewer times, but at least FEWEST_RUNS."""
FEWEST_RUNS = 2
"""Smallest number of timed runs of a graph."""
WORTH = 0.95
"""Share of FP32's time below which a precision is worth it; the time of equal runs differs by a few percent."""


def time_parts(network: Variant, built: Built, picture: CalibrationPicture, progress: Progress) -> dict[str, Any]:
    """Time every graph in FP32 and converted.

    Both graphs take turns on one picture. Times are medians in ms, and "kept" says whether the precision is worth it.

    Returns:
        {"machine", "cores", "threads", "picture", "parts": {part: {"fp32_ms", "ms", "kept"}}}.
    """
    feeds = _capture_feeds(network, picture)
    parts = {}
    with progress("timing:") as tick:
        for count, part in enumerate(built.models, 1):
            given = feeds.get("net_r" if part == "net_r_packed" else part)
            with network.opened({"a": network.models[part], "b": built.models[part]}) as graphs:
                before, after = time_in_turn((graphs["a"], given), (graphs["b"], given))
            parts[part] = {"fp32_ms": before, "ms": after, "kept": after < WORTH * before}
            tick(count, len(built.models), part)
    machine = {"machine": read_cpu_name(), "cores": count_cores(), "threads": network.threads}
    return {**machine, "picture": picture.name, "parts": parts}


def _capture_feeds(network: Variant, picture: CalibrationPicture) -> dict[str, dict[str, np.ndarray]]:
    """Return the inputs of each graph for a picture."""
    fed: dict[str, dict[str, np.ndarray]] = {}
    image = np.ascontiguousarray(np.moveaxis(picture.pixels, 2, 0)[None])
    with network.opened({part: network.models[part] for part in network.parts}) as graphs:

        def watch(part: str) -> ObservedGraph:
            graph = graphs[part]

            def keep(values: dict[str, np.ndarray]) -> None:
                fed.setdefault(part, {name: values[name] for name in graph.inputs})

            return ObservedGraph(graph, graph.outputs, keep)

        network.restorer({part: watch(part) for part in graphs})(picture.pixels)
    fed.setdefault("model", {"image": image})
    return fed


def time_in_turn(*cases: tuple[Graph, Mapping[str, np.ndarray] | None], runs: int = RUNS) -> list[float]:
    """Return the median ms of graphs that take turns.

    A busy moment of the machine then hits all of them.
    """
    calls = {place: partial(graph.run, feeds or {}) for place, (graph, feeds) in enumerate(cases)}
    repeats = Repeats(runs, seconds=LONGEST / len(cases), least=FEWEST_RUNS)
    taken = take_turns(calls, lambda place: repeats, warm_first=True)
    return [1000 * statistics.median(seconds) for seconds in taken.values()]


def time_layers(
    network: Variant, plan: PrecisionPlan, tile: int, density: float, progress: Progress
) -> dict[str, tuple[float, float]]:
    """Time one use of each layer on a tile.

    Each layer runs alone in a graph; sparse convolutions are packed.

    Returns:
        Median ms in FP32 and in the planned precision, by layer.
    """
    sizes = {part: element_counts(network.models[part]) for part in network.parts}
    found = {}
    with progress("timing layers:") as tick:
        layers = [layer for layer in network.layers if len(layer.shape) in (2, 4)]
        for count, layer in enumerate(layers, 1):
            model, feeds = _lone_model(network, layer, sizes[layer.part], tile, density)
            lone = PrecisionPlan({layer.name: plan.of(layer.name)}, "fp32", plan.scales, plan.quantize)
            pair = {"a": model, "b": convert(model, lone, "")[0]}
            if layer.operator == "SparseConv2d":
                for one in pair.values():
                    PackSparse()(one)
            with network.opened(pair) as graphs:
                before, after = time_in_turn((graphs["a"], feeds), (graphs["b"], feeds))
            found[layer.name] = (before, after)
            tick(count, len(layers), layer.name)
    return found


def _lone_model(
    network: Variant, layer: Layer, sizes: Mapping[str, int], tile: int, density: float
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """Make a graph of one node and its inputs.

    The node is the first one of the layer.
    """
    whole, use = network.models[layer.part], layer.uses[0]
    node = next(node for node in whole.graph.node if node.output[0] == use.node)
    stored = {tensor.name: tensor for tensor in whole.graph.initializer}
    weight = weight_of(node, stored)
    assert weight is not None
    shape = _input_shape(layer, sizes.get(use.source, 0), tile)
    random = np.random.default_rng(0)
    feeds = {use.source: random.random(shape, dtype=np.float32)}
    if use.mask:
        feeds[use.mask] = make_mask("streak", shape[2], shape[3], density)[None, None].astype(np.float32)
        if not use.radius:  # a layer that reads no clean neighbour gets zeros at clean pixels
            feeds[use.source] *= feeds[use.mask]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in feeds.items()]
    output = helper.make_tensor_value_info(use.node, TensorProto.FLOAT, [None] * len(shape))
    used = [stored[name] for name in node.input if name in stored]
    graph = helper.make_graph([node], "layer", inputs, [output], used)
    version = next(opset.version for opset in whole.opset_import if not opset.domain)
    opsets = [helper.make_opsetid("", version)] + ([helper.make_opsetid(DOMAIN, 1)] if node.domain == DOMAIN else [])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=whole.ir_version)
    add_function_bodies(model)
    return model, feeds


def _input_shape(layer: Layer, elements: int, tile: int) -> Sequence[int]:
    """Return the shape of a layer's input on a tile.

    Args:
        layer: the layer.
        elements: number of elements of its input for a picture of SIDE x SIDE.
        tile: side of the tile in pixels.
    """
    if layer.operator in ("Gemm", "MatMul"):
        return (max(1, elements // layer.shape[0]), layer.shape[0])
    channels = layer.shape[0] if layer.operator == "ConvTranspose" else layer.shape[1]
    side = max(1, math.isqrt(elements // channels) * tile // SIDE)
    return (1, channels, side, side)

"""Observation of all activations of a network on tiles.

It fills the histograms of the layers' inputs and finds tensors that no half can hold.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from ...runtime.backends.base import Graph
from ...runtime.errors import GateError, UserError
from ..conversion.layers import Key, Use, float_tensors, layer_name, uses_of, weight_of
from ..conversion.weights import LARGEST_HALF, SMALLEST_HALF
from ..options import Options
from ..progress import Progress, silent
from ..variants import Models, Variant
from .pictures import CalibrationPicture
from .ranges import Histogram

HEADROOM = 2.0
"""Factor by which the largest half must exceed the values of a half tensor; other pictures may have larger ones."""
VIEW = 24 * 192 * 192
"""Number of observed tensors in one pass times the pixels of a tile; it limits the memory."""

Sink = Callable[[dict[str, np.ndarray]], None]
"""Function that receives tensors by name."""


class ObservedGraph:
    """Graph whose extra outputs go to a sink."""

    def __init__(self, graph: Graph, outputs: Sequence[str], sink: Sink) -> None:
        self._graph, self._sink = graph, sink
        self.inputs, self.outputs = graph.inputs, tuple(outputs)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the graph and show all tensors to the sink.

        The sink receives inputs and outputs. The caller receives only the graph's own outputs.
        """
        values = self._graph.run(feeds)
        self._sink({**feeds, **values})
        return {name: values[name] for name in self.outputs}

    def close(self) -> None:
        """Leave the graph open, because its owner closes it."""


@dataclasses.dataclass
class Seen:
    """Extremes of one tensor over all tiles."""

    largest: float = 0.0
    """Largest magnitude."""
    vanishing: float = 0.0
    """Largest share in one tile, 0..1, of values that are not zero in float32 but zero as halves."""


@dataclasses.dataclass
class Observations:
    """Observations of all parts over all tiles."""

    histograms: dict[Key, Histogram] = dataclasses.field(default_factory=dict)
    """Histogram of the values that each use of a layer reads."""
    tensors: dict[str, dict[str, Seen]] = dataclasses.field(default_factory=dict)
    """Extremes by part and tensor."""

    def overflowing(self) -> dict[str, frozenset[str]]:
        """Return the tensors of each part that no half holds."""
        limit = LARGEST_HALF / HEADROOM
        return {
            part: frozenset(name for name, seen in tensors.items() if seen.largest > limit)
            for part, tensors in self.tensors.items()
        }


def expose(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """Copy a graph and add float32 outputs.

    Args:
        model: the graph.
        names: tensors to add as outputs; inputs, outputs and initializers of the graph are skipped.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    shown = {value.name for value in (*copy.graph.output, *copy.graph.input)}
    stored = {tensor.name for tensor in copy.graph.initializer}
    copy.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in dict.fromkeys(names)
        if name not in shown | stored
    )
    return copy


def observe(
    network: Variant, tiles: Sequence[CalibrationPicture], options: Options, progress: Progress
) -> Observations:
    """Observe every float tensor of a network on every tile.

    Raises:
        UserError: a value is not finite; the message names the layer and the picture.
    """
    found = Observations()
    parts = dict.fromkeys((*network.parts, "model"))
    with progress("observing:") as tick:
        jobs = [(part, names) for part in parts for names in _batches(network.models[part], tiles)]
        for count, (part, names) in enumerate(jobs, 1):
            _observe_part(network, part, names, tiles, options, found)
            tick(count, len(jobs), part)
    return found


def check_finite(
    network: Variant, models: Models, tiles: Sequence[CalibrationPicture], progress: Progress = silent
) -> None:
    """Check every float tensor of converted graphs.

    Args:
        network: the bundle that the graphs come from.
        models: graphs that together restore a picture.
        tiles: pictures to restore.
        progress: receives the steps, see `Progress`.

    Raises:
        GateError: a value is not finite; the message names the layer and the picture.
    """
    jobs = [(part, names) for part, model in models.items() for names in _batches(model, tiles)]
    unnamed = None
    with progress("checking:") as tick:
        for count, (part, names) in enumerate(jobs, 1):
            unnamed = _check_part(network, models, part, names, tiles) or unnamed
            tick(count, len(jobs), part)
    if unnamed is not None:
        raise unnamed


def _check_part(
    network: Variant, models: Models, part: str, names: list[str], tiles: Sequence[CalibrationPicture]
) -> GateError | None:
    """Check some tensors of one part on all tiles.

    Returns:
        The error that the restorer raised without a fault in these tensors, or None.

    Raises:
        GateError: one of these tensors is not finite; the message names its layer.
    """
    own = models[part]
    found: list[str] = []
    unnamed: GateError | None = None

    def look(values: dict[str, np.ndarray]) -> None:
        found.extend(name for name in names if name in values and not np.isfinite(values[name]).all())

    with network.opened({**models, part: expose(own, names)}) as graphs:
        watched = ObservedGraph(graphs[part], [value.name for value in own.graph.output], look)
        for tile in tiles:
            try:
                network.restorer({**graphs, part: watched})(tile.pixels)
            except GateError as error:  # the restorer finds the fault too, but does not know the layer
                unnamed = error
            if found:
                raise GateError(
                    f"the layer {made_by(own, found[0])} gives values that are not finite (tensor {found[0]}) on "
                    f"{tile.name} once converted, expected finite ones; use a higher precision"
                ) from unnamed
    return unnamed


def _batches(model: onnx.ModelProto, tiles: Sequence[CalibrationPicture]) -> list[list[str]]:
    names = [value.name for value in model.graph.input] + float_tensors(model)
    count = max(1, VIEW // max(tile.pixels[..., 0].size for tile in tiles))
    return [names[start : start + count] for start in range(0, len(names), count)]


def _observe_part(
    network: Variant,
    part: str,
    names: list[str],
    tiles: Sequence[CalibrationPicture],
    options: Options,
    found: Observations,
) -> None:
    own = network.models[part]
    uses = [use for use in uses_of(own) if use.source in names] if part in network.parts else []
    masks = [use.mask for use in uses if use.mask]
    model = expose(own, [*names, *masks])
    outputs = [value.name for value in own.graph.output]
    tile = tiles[0]

    def look(values: dict[str, np.ndarray]) -> None:
        for name in names:
            if name in values:
                _see(found.tensors.setdefault(part, {}).setdefault(name, Seen()), values[name], own, name, tile)
        for use in uses:
            read = _what_is_read(values, use, options.statistics == "masked")
            found.histograms.setdefault(use.key, Histogram()).add(read)

    models = {**{other: network.models[other] for other in network.parts}, part: model}
    with network.opened(models if part in network.parts else {part: model}) as graphs:
        watched = ObservedGraph(graphs[part], outputs, look)
        for tile in tiles:
            if part in network.parts:
                network.restorer({**graphs, part: watched})(tile.pixels)
            else:
                watched.run({"image": np.ascontiguousarray(np.moveaxis(tile.pixels, 2, 0)[None])})


def _see(seen: Seen, values: np.ndarray, model: onnx.ModelProto, name: str, tile: CalibrationPicture) -> None:
    magnitudes = np.abs(values)
    largest = float(magnitudes.max(initial=0.0))
    if not np.isfinite(largest):
        raise UserError(
            f"the layer {made_by(model, name)} gives values that are not finite (tensor {name}) on {tile.name} in "
            "FP32, expected finite ones; leave the picture out or train the network further"
        )
    seen.largest = max(seen.largest, largest)
    there = magnitudes > 0
    if there.any():
        seen.vanishing = max(seen.vanishing, float((magnitudes[there] <= SMALLEST_HALF).mean()))


def _what_is_read(values: Mapping[str, np.ndarray], use: Use, masked: bool) -> np.ndarray:
    """Return the values [n] float32 that a use reads."""
    source = values[use.source]
    if not masked or not use.mask:
        return source.reshape(-1)
    mask = values[use.mask] > 0.5  # [N,1,H,W]
    for axis in (2, 3):  # a layer that reads clean neighbours reads this far beyond the mask
        mask = _dilated(mask, use.radius, axis)
    return source[np.broadcast_to(mask, source.shape)]


def _dilated(mask: np.ndarray, radius: int, axis: int) -> np.ndarray:
    wide = mask.copy()
    for step in range(1, radius + 1):
        ahead = [slice(None)] * mask.ndim
        behind = list(ahead)
        ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
        wide[tuple(ahead)] |= mask[tuple(behind)]
        wide[tuple(behind)] |= mask[tuple(ahead)]
    return wide


def made_by(model: onnx.ModelProto, name: str) -> str:
    """Name the layer that a tensor comes from.

    It is the nearest node with weights before the tensor, or else the node that makes the tensor.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    makers = {output: node for node in model.graph.node for output in node.output}
    current, seen = name, set()
    while current in makers and current not in seen:
        seen.add(current)
        node = makers[current]
        weight = weight_of(node, stored)
        if weight is not None:
            return layer_name(weight)
        current = next((given for given in node.input if given in makers), "")
    return makers[name].name or makers[name].op_type if name in makers else name

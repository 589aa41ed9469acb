"""Agreement of a manifest's numbers with the graphs.

A file's hash says that it is the file that was written, not that it belongs to the numbers beside it. What graphs say
of themselves is compared with the manifest before they are used: types, sizes, scales, precision and receptive field.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ..errors import UserError
from ..graphs import GraphFacts, find_reach, read_graph
from ..graphs.facts import DOUBLE, FLOAT, FLOAT16, ArrayType
from ..tiling.spec import ForeignNetwork, SpairNetwork
from .manifest import Manifest

_FLOATS = (FLOAT, FLOAT16)
"""Types of arrays that a network takes."""
_PICTURES = (FLOAT, FLOAT16, DOUBLE)
"""Types of arrays that can be a restored picture."""
_QUANTIZERS = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
_MODULATION = "MaskedModulation"
REPEATED_MASK = "mask_repeated"
"""Tensor of a whole graph that is Net_L's mask with its last row and column repeated in the padding."""
_STAGES: Mapping[str, str] = {"net_l": "halo_l", "net_r": "halo_r"}
"""Graphs whose receptive field is followed -> the manifest's entry for it."""


def check_graph(path: Path, precision: str, part: str, manifest: Manifest) -> None:
    """Refuse a graph that the manifest describes wrongly.

    Args:
        path: the graph's file, whose hash was checked.
        precision: precision under which the manifest lists it.
        part: name of its part, such as "net_l".
        manifest: the manifest.

    Raises:
        UserError: the file is no ONNX file, or it contradicts the manifest; the message says in what.
    """
    graph, network = read_graph(path), manifest.network
    if not isinstance(network, ForeignNetwork):
        _refuse(path, _judge_stage(graph, part, network))
    elif part == "model":
        _refuse(path, _judge_foreign(graph, manifest))
    _refuse(path, _judge_precision(graph, precision, manifest))


def check_precision(path: Path, precision: str, manifest: Manifest) -> None:
    """Refuse a graph that is less precise than listed.

    Graphs of two precisions that changed places are found by it, since one of the two is less precise then.

    Args:
        path: the graph's file.
        precision: precision under which the manifest lists it.
        manifest: the manifest.

    Raises:
        UserError: the file is no ONNX file, or it is less precise.
    """
    _refuse(path, _judge_precision(read_graph(path), precision, manifest))


def check_padding(path: Path) -> None:
    """Refuse a whole graph that masks the padding otherwise.

    Older versions exported graphs that keep what Net_L marks in the padding. They restore the lower and right border of
    a picture otherwise than the graphs of the two stages do, unless its sides are multiples.

    Args:
        path: the file of the graph of the whole network of two stages, whose hash was checked.

    Raises:
        UserError: the file is no ONNX file, or such a graph.
    """
    if not any(REPEATED_MASK in node.outputs for node in read_graph(path).nodes):
        raise UserError(
            f"the graph {path} of the whole network was exported by an older version, which restores the border of "
            "pictures otherwise than this one; export the bundle again"
        )


def _refuse(path: Path, reasons: Iterable[str]) -> None:
    for reason in reasons:
        raise UserError(f"the manifest does not fit the graph {path}: {reason}; export the bundle again")


def _judge_foreign(graph: GraphFacts, manifest: Manifest) -> Iterator[str]:
    listed = next(iter(manifest.outputs), "restored")
    restored = listed if listed in graph.outputs else next(iter(graph.outputs), "")
    yield from _judge_types(list(graph.inputs.items())[:1], "takes", _FLOATS)
    yield from _judge_types([(restored, graph.outputs.get(restored, ArrayType(0, None)))], "gives", _PICTURES)


def _judge_types(tensors: Iterable[tuple[str, ArrayType]], verb: str, wanted: tuple[int, ...]) -> Iterator[str]:
    for name, tensor in tensors:
        if tensor.element not in wanted:
            yield f"it {verb} {name!r} as {tensor.element_name}, expected an array of floats of 16 or 32 bits"


def _judge_stage(graph: GraphFacts, part: str, network: SpairNetwork) -> Iterator[str]:
    yield from _judge_types(graph.inputs.items(), "takes", _FLOATS)
    yield from _judge_types(graph.outputs.items(), "gives", _FLOATS)
    yield from _judge_names(graph, part, network)
    for name, tensor in (*graph.inputs.items(), *graph.outputs.items()):
        yield from _judge_shape(name, tensor, network)
    yield from _judge_eps(graph, network)
    if part in _STAGES:
        yield from _judge_reach(graph, _STAGES[part], network)


def _judge_names(graph: GraphFacts, part: str, network: SpairNetwork) -> Iterator[str]:
    features = {f"f{scale}" for scale in network.scales}
    affine = {f"{what}{scale}" for scale in network.modulated for what in ("scale", "shift")}
    inputs, outputs = {"image"}, {"restored", "mask"}
    if part == "net_l":
        outputs = {"mask", *features}
    elif part != "model":
        inputs, outputs = {"image", "mask", "keys", "key_mask", *features, *affine}, {"restored"}
    for verb, found, expected in (("takes", graph.inputs, inputs), ("gives", graph.outputs, outputs)):
        if set(found) != expected:
            yield f"it {verb} {_list(found)}, expected {_list(expected)} for the scales {list(network.scales)}"


def _judge_shape(name: str, tensor: ArrayType, network: SpairNetwork) -> Iterator[str]:
    expected = _expected_shape(name, network)
    if tensor.shape is None or expected is None:
        return
    if len(tensor.shape) != 4 or not all(map(_fits, tensor.shape[1:], expected)):
        wanted = "x".join(map(str, ("batch", *(size or "any" for size in expected))))
        yield f"its {name!r} is {'x'.join(map(str, tensor.shape))}, expected {wanted}"


def _fits(found: int | str, expected: int | str) -> bool:
    """Tell whether a size is the expected one.

    Sizes that the file leaves free fit, unless they are named as a share of another side.
    """
    if isinstance(found, int) and isinstance(expected, int):
        return found == expected or expected == 0
    if isinstance(found, str) and isinstance(expected, str):
        return found == expected or not found.startswith(("height", "width"))
    return isinstance(found, str)


def _expected_shape(name: str, network: SpairNetwork) -> tuple[int | str, int | str, int | str] | None:
    """Return channels, height and width of an array.

    0 stands for a number that the manifest leaves open.
    """
    channels = dict(zip(network.scales, network.channels, strict=False))
    if name in ("image", "restored"):
        return 3, "height", "width"
    if name == "mask":
        return 1, "height", "width"
    if name == "keys":
        return channels.get(network.key_scale, 0), network.grid, network.grid
    if name == "key_mask":
        return 1, network.grid, network.grid
    for scale in network.scales:
        share = f"/{2**scale}" if scale else ""
        if name == f"f{scale}":
            return channels.get(scale, 0), f"height{share}", f"width{share}"
        if name in (f"scale{scale}", f"shift{scale}"):
            return channels.get(scale, 0), 1, 1
    return None


def _judge_eps(graph: GraphFacts, network: SpairNetwork) -> Iterator[str]:
    for node in graph.nodes:
        eps = node.attributes.get("eps") if node.operator == _MODULATION else None
        if isinstance(eps, float) and not math.isclose(eps, network.eps, rel_tol=1e-6):
            yield f"it computes with eps {eps:.3g}, and the manifest says {network.eps:.3g}"


def _judge_reach(graph: GraphFacts, halo: str, network: SpairNetwork) -> Iterator[str]:
    strides = {f"f{scale}": 2**scale for scale in network.scales} | {"image": 1, "mask": 1}
    found = find_reach(graph, {name: strides[name] for name in graph.inputs if name in strides})
    needed = max((found[name].radius for name in graph.outputs if name in found), default=0)
    given = getattr(network, halo)
    if given < needed:
        yield f"its outputs depend on pixels up to {needed} away, and the manifest's {halo} is {given}"
    coarsest = max((reach.stride for reach in found.values()), default=1)
    if network.multiple % coarsest:
        yield f"it works on every {coarsest}th pixel, which does not divide the manifest's multiple {network.multiple}"


def _judge_precision(graph: GraphFacts, precision: str, manifest: Manifest) -> Iterator[str]:
    """Find what is less precise than a graph's precision allows."""
    if manifest.kind == "foreign" and len(manifest.graphs) < 2:
        return  # a network of others may be quantized or in halves from the start
    quantized = next((node.operator for node in graph.nodes if node.operator in _QUANTIZERS), None)
    if quantized and precision in ("fp32", "fp16"):
        yield f"it has {quantized} nodes, and is listed as {precision}"
    half = any(tensor.element == FLOAT16 for tensor in graph.constants.values())
    if half and precision == "fp32":
        yield "it has constants of 16 bits, and is listed as fp32"


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))

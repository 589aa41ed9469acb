"""Layers of the network as engines run them.

They are read from the exported graph after the passes for engines: those of today, which list the active pixels of a
mask once, or those of the first version, in which each operator lists its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import onnx
import torch
from onnx import helper

from spair.export.counts.layers import read_layer
from spair.export.engines.graph import rewrite_for_plugins
from spair.export.graphs import export_graph, spair_graphs
from spair.export.operators.table import BY_NAME, CHANNELS, DOMAIN, INDEX, JOINED, Gives
from spair.export.operators.table import Operator as TableRow
from spair.export.passes.graph import initializers_of
from spair.export.passes.residuals import FuseResiduals
from spair.export.passes.unread import ATTRIBUTE, SkipUnreadPixels
from spair.network import SPAIR
from spair.plugins.compiler.kernels.tiles import list_alternatives
from spair.plugins.cost import NumberType


@dataclass(frozen=True)
class SparseLayer:
    """Sparse convolution."""

    scale: int
    """Scale: 0, 1, 2 at full, half and quarter size."""
    channels: int
    outputs: int
    kernel: int
    clean_input: bool
    residual: bool
    """Whether a residual is added, of whatever size."""
    clear_output: bool
    listed: bool = False
    """Whether it takes a list of active pixels and packed weights."""
    coarse: bool = False
    """Whether its residual has half the size."""
    sum_slope: float = 1.0
    """Slope below zero of the activation behind the residual."""
    joined: int = 0
    """Input channels, the last ones, that are of another tensor."""
    types: tuple[NumberType, NumberType, NumberType] | None = None
    """Types of x, weights and the rest in a converted graph; None: those of the precision that is asked for."""
    gives: Gives = "float"
    """Types in which the output is written."""
    other: int = 0
    """Place of its tiling among the alternatives to the first choice, from 1; 0 is the first choice."""

    def name_tiling(self, weight: NumberType) -> dict[str, str]:
        """Return the attribute that names another tiling, if any."""
        return {"tiling": list_alternatives(weight, self.outputs)[self.other - 1].name} if self.other else {}


@dataclass(frozen=True)
class Attention:
    """Sparse non-local operator."""

    scale: int
    channels: int
    outputs: int
    clear_output: bool
    listed: bool = False


@dataclass(frozen=True)
class Modulation:
    """Masked modulation."""

    scale: int
    channels: int


@dataclass(frozen=True)
class Index:
    """List of a mask's active pixels, which operators share."""

    scale: int


@dataclass(frozen=True)
class Compose:
    """Sum of the picture and its residual at distorted pixels."""

    scale: int
    channels: int


@dataclass(frozen=True)
class DenseLayer:
    """Ordinary convolution."""

    name: str
    pixels: tuple[int, int]
    """Pixels of its input and of its output."""
    channels: int
    outputs: int
    kernel: int


Operator = SparseLayer | Attention | Modulation | Index | Compose


def export_network(model: SPAIR) -> onnx.ModelProto:
    """Export the whole network, with no pass for engines."""
    return export_graph(spair_graphs(model)["model"])


def rewrite(graph: onnx.ModelProto, *, listed: bool = True) -> onnx.ModelProto:
    """Rewrite a graph in place as for engines.

    Args:
        graph: exported graph.
        listed: take all passes that a graph goes through on its way to an engine; else only those of the first
            version, after which each operator lists the active pixels itself.
    """
    if listed:
        rewrite_for_plugins(graph)
    else:
        FuseResiduals()(graph)
        SkipUnreadPixels()(graph)
    return graph


def list_operators(model: SPAIR, graph: onnx.ModelProto) -> list[Operator]:
    """List every `spair` node of the graph, in its order.

    Convolutions of graphs with INT8 or FP16 weights have types of their own.
    """
    preset = model.preset
    stored = initializers_of(graph.graph)
    constants = {name: tuple(tensor.dims) for name, tensor in stored.items()}
    makers = {name: node for node in graph.graph.node for name in node.output}
    found: list[Operator] = []
    for node in graph.graph.node:
        if node.domain != DOMAIN:
            continue
        attributes = {part.name: helper.get_attribute_value(part) for part in node.attribute}
        clear = bool(attributes.get(ATTRIBUTE, 1))
        if node.op_type == INDEX:
            found.append(Index(_count_pools(node.input[0], makers)))
            continue
        if node.op_type == "MaskedModulation":
            scale = _count_pools(node.input[1], makers)
            found.append(Modulation(scale, preset.feature_channels[scale]))
            continue
        operator = BY_NAME[node.op_type]
        scale = _count_pools(node.input[operator.positions_of("mask")[0]], makers)
        listed = operator.has_input("index")
        if operator.family == "SparseCompose":
            found.append(Compose(scale, graph.graph.input[0].type.tensor_type.shape.dim[1].dim_value))
        elif operator.family == "SparseNonLocal":
            found.append(Attention(scale, preset.attention_channels, preset.attention_channels, clear, listed))
        else:
            sizes = _read_sizes(node, operator, attributes, constants)
            layer = read_layer(node, operator, stored)
            types = None if layer is None or layer.types == ("fp32",) * 3 else layer.types
            found.append(replace(_read_layer(scale, sizes, operator, attributes), types=types, gives=operator.gives))
    return found


def _read_layer(scale: int, sizes: tuple[int, int, int], operator: TableRow, attributes: dict[str, Any]) -> SparseLayer:
    """Read a convolution of known channels, outputs and window."""
    coarse = operator.has_input("coarse")
    return SparseLayer(
        scale,
        *sizes,
        clean_input=bool(attributes["clean_input"]),
        residual=coarse or operator.has_input("residual"),
        clear_output=bool(attributes.get(ATTRIBUTE, 1)),
        listed=operator.has_input("index"),
        coarse=coarse,
        sum_slope=float(attributes.get("sum_slope", 1.0)),
        joined=attributes[JOINED][0] if operator.has_input("joined") else 0,
    )


def _read_sizes(
    node: onnx.NodeProto, operator: TableRow, attributes: dict[str, Any], constants: dict[str, tuple[int, ...]]
) -> tuple[int, int, int]:
    """Read the channels, outputs and window of a convolution."""
    (outputs,) = constants[node.input[operator.position("bias")]]
    if operator.has_input("packed"):
        (channels,) = attributes[CHANNELS]
        return channels, outputs, constants[node.input[operator.position("packed")]][0]
    _, channels, kernel, _ = constants[node.input[operator.position("weight")]]
    return channels, outputs, kernel


def _count_pools(mask: str, makers: dict[str, onnx.NodeProto]) -> int:
    """Count the poolings from the first mask to this one.

    Casts between them count nothing.
    """
    node = makers.get(mask)
    if node is None or node.op_type not in ("MaxPool", "Cast"):
        return 0
    return (node.op_type == "MaxPool") + _count_pools(node.input[0], makers)


def list_dense(model: SPAIR, height: int, width: int) -> list[DenseLayer]:
    """List every ordinary convolution for a picture of that size.

    Both sides are multiples of 8. The convolutions are Net_L's, and the projection of keys.
    """
    with torch.device("meta"):
        shapes = SPAIR(model.preset).eval()
        image = torch.zeros(1, 3, height, width)
    found: list[DenseLayer] = []

    def note(name: str, module: torch.nn.Conv2d, x: torch.Tensor, out: torch.Tensor) -> None:
        pixels = (x.shape[2] * x.shape[3], out.shape[2] * out.shape[3])
        found.append(DenseLayer(name, pixels, module.in_channels, module.out_channels, module.kernel_size[0]))

    for name, module in _convolutions(shapes):
        module.register_forward_hook(lambda module, inputs, out, name=name: note(name, module, inputs[0], out))
    with torch.no_grad():
        shapes(image)
    return found


def _convolutions(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Conv2d]]:
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            yield name, module

"""Layers of the network as engines run them.

They are read from the exported graph after the passes for engines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx
import torch
from onnx import helper

from spair.export.graphs import export_graph, spair_graphs
from spair.export.operators.table import BY_NAME, DOMAIN
from spair.export.passes.residuals import FuseResiduals
from spair.export.passes.unread import ATTRIBUTE, SkipUnreadPixels
from spair.network import SPAIR


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
    clear_output: bool


@dataclass(frozen=True)
class Attention:
    """Sparse non-local operator."""

    scale: int
    channels: int
    outputs: int
    clear_output: bool


@dataclass(frozen=True)
class Modulation:
    """Masked modulation."""

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


Operator = SparseLayer | Attention | Modulation


def make_engine_graph(model: SPAIR) -> onnx.ModelProto:
    """Export the whole network and rewrite it as for engines."""
    return rewrite(export_graph(spair_graphs(model)["model"]))


def rewrite(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite a graph in place as for engines.

    The passes are those that a graph goes through on its way to an engine.
    """
    FuseResiduals()(graph)
    SkipUnreadPixels()(graph)
    return graph


def list_operators(model: SPAIR, graph: onnx.ModelProto) -> list[Operator]:
    """List every `spair` node of the graph, in its order."""
    preset = model.preset
    weights = {tensor.name: tuple(tensor.dims) for tensor in graph.graph.initializer}
    makers = {name: node for node in graph.graph.node for name in node.output}
    found: list[Operator] = []
    for node in graph.graph.node:
        if node.domain != DOMAIN:
            continue
        attributes = {part.name: helper.get_attribute_value(part) for part in node.attribute}
        clear = bool(attributes.get(ATTRIBUTE, 1))
        if node.op_type == "MaskedModulation":
            scale = _count_pools(node.input[1], makers)
            found.append(Modulation(scale, preset.feature_channels[scale]))
            continue
        operator = BY_NAME[node.op_type]
        scale = _count_pools(node.input[operator.position(operator.mask or "")], makers)
        if node.op_type == "SparseNonLocal":
            found.append(Attention(scale, preset.attention_channels, preset.attention_channels, clear))
        else:
            outputs, channels, kernel, _ = weights[node.input[operator.position("weight")]]
            residual = operator.has_input("residual")
            clean_input = bool(attributes["clean_input"])
            found.append(SparseLayer(scale, channels, outputs, kernel, clean_input, residual, clear))
    return found


def _count_pools(mask: str, makers: dict[str, onnx.NodeProto]) -> int:
    """Count the poolings from the first mask to this one."""
    node = makers.get(mask)
    return 1 + _count_pools(node.input[0], makers) if node is not None and node.op_type == "MaxPool" else 0


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

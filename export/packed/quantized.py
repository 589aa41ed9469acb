"""What the packed form makes of a convolution's node: whether it can, its weights, and its quantized input."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto

from ..operators.bodies import DOMAIN
from .emit import Emitter
from .layers import Layer

CONVOLUTIONS = ("SparseConv2d", "SparseConv2dInt8")
WEIGHT_TYPES = {"SparseConv2d": TensorProto.FLOAT, "SparseConv2dInt8": TensorProto.INT8}


def check_packable(node: onnx.NodeProto, stored: Mapping[str, onnx.TensorProto]) -> None:
    """Raise ValueError, saying why, unless a convolution has a packed form."""
    what = f"{node.op_type} {node.output[0]}"
    if not set(node.input[2:]) <= stored.keys():
        raise ValueError(f"the weights of {what} must be initializers")
    weight = stored[node.input[2]]
    if weight.data_type != WEIGHT_TYPES[node.op_type]:
        raise ValueError(
            f"{what} has weights of type {weight.data_type}; only float32 and, with scales, int8 can be packed"
        )
    kernel, pads = list(weight.dims[2:]), next(list(a.ints) for a in node.attribute if a.name == "pads")
    if kernel[0] not in (1, 3, 5) or kernel != kernel[:1] * 2 or pads != [kernel[0] // 2] * 4:
        raise ValueError(
            f"{what} has a kernel of {kernel} and pads of {pads}; only 1x1, 3x3 and 5x5 that keep the size"
        )


def read_layer(node: onnx.NodeProto, stored: Mapping[str, np.ndarray], negative_slope: float) -> Layer:
    """The layer of a convolution that `check_packable` let pass."""
    weight, bias = stored[node.input[2]], stored[node.input[3]]
    if node.op_type == "SparseConv2d":
        return Layer(weight, bias, float(negative_slope))
    input_scale, weight_scale = stored[node.input[4]], stored[node.input[5]]
    return Layer(weight, bias, float(negative_slope), weight_scale, float(input_scale))


class Quantized:
    """The int8 inputs of SparseConv2dInt8: rows are quantized where they are read, once for each scale."""

    def __init__(self, model: onnx.ModelProto, emit: Emitter) -> None:
        self._emit = emit
        readers: dict[str, set[str]] = {}
        for node in model.graph.node:
            for name in node.input:
                readers.setdefault(name, set()).add(node.op_type if node.domain == DOMAIN else "")
        shown = {value.name for value in model.graph.output}
        self._sources = {
            node.output[0]: node.input[0]
            for node in model.graph.node
            if node.op_type == "QuantizeLinear"
            and node.output[0] not in shown
            and readers.get(node.output[0]) == {"SparseConv2dInt8"}
        }
        self._rows: dict[tuple[str, float], str] = {}

    def is_for_rows(self, node: onnx.NodeProto) -> bool:
        """Whether a node quantizes what only packed convolutions read."""
        return node.op_type == "QuantizeLinear" and node.output[0] in self._sources

    def source(self, name: str) -> str:
        """What was quantized to `name`; the name itself where nothing was."""
        return self._sources.get(name, name)

    def rows(self, rows: str, layer: Layer) -> str:
        """Rows as a layer reads them; a row of zeros stays one."""
        if layer.weight_scale is None:
            return rows
        key = (rows, layer.input_scale)
        if key not in self._rows:
            emit = self._emit
            scale, zero = emit.const(layer.input_scale, np.float32), emit.const(0, np.int8)
            self._rows[key] = emit.op("QuantizeLinear", rows, scale, zero)
        return self._rows[key]

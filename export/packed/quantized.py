"""What the packed form makes of a convolution's node: whether it can, its weights, and its quantized input."""

from __future__ import annotations

import numpy as np
import onnx

from ..operators.bodies import DOMAIN
from .emit import Emitter
from .layers import PackedLayer


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

    def rows(self, rows: str, layer: PackedLayer) -> str:
        """Rows as a layer reads them; a row of zeros stays one."""
        if layer.weight_scale is None:
            return rows
        key = (rows, layer.input_scale)
        if key not in self._rows:
            emit = self._emit
            scale, zero = emit.const(layer.input_scale, np.float32), emit.const(0, np.int8)
            self._rows[key] = emit.op("QuantizeLinear", rows, scale, zero)
        return self._rows[key]

"""Quantizers that packed convolutions read."""

from __future__ import annotations

import numpy as np
import onnx

from ..operators.table import BY_NAME, DOMAIN
from ..passes.graph import output_names, readers_of
from .emit import Emitter
from .layers import PackedLayer

INT8 = BY_NAME["SparseConv2d"].int8_form


class Quantized:
    """Int8 inputs of packed convolutions.

    Rows are quantized where they are read, once for each scale, instead of whole tensors.
    """

    def __init__(self, model: onnx.ModelProto, emit: Emitter) -> None:
        """Find the quantizers that only INT8 sparse convolutions read."""
        self._emit = emit
        shown, readers = output_names(model.graph), readers_of(model.graph)
        self._sources = {
            node.output[0]: node.input[0]
            for node in model.graph.node
            if node.op_type == "QuantizeLinear"
            and node.output[0] not in shown
            and _kinds(readers.get(node.output[0], [])) == {(DOMAIN, INT8)}
        }
        self._rows: dict[tuple[str, float], str] = {}

    def is_for_rows(self, node: onnx.NodeProto) -> bool:
        """Return whether a node is a quantizer of packed rows."""
        return node.op_type == "QuantizeLinear" and node.output[0] in self._sources

    def source(self, name: str) -> str:
        """Return the float tensor behind `name`, or `name` itself."""
        return self._sources.get(name, name)

    def rows(self, rows: str, layer: PackedLayer) -> str:
        """Quantize rows for a layer with int8 weights.

        A row of zeros stays zeros. Rows for a layer with float32 weights stay as they are.
        """
        if layer.weight_scale is None:
            return rows
        key = (rows, layer.input_scale)
        if key not in self._rows:
            emit = self._emit
            scale, zero = emit.const(layer.input_scale, np.float32), emit.const(0, np.int8)
            self._rows[key] = emit.op("QuantizeLinear", rows, scale, zero)
        return self._rows[key]


def _kinds(nodes: list[onnx.NodeProto]) -> set[tuple[str, str | None]]:
    return {(node.domain, node.op_type) for node in nodes}

"""Pass that lets sparse convolutions quantize their own input."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from ..operators.bodies import renew_function_bodies
from .base import GraphPass, PassResult
from .graph import drop_unused, initializers_of, operator_of, output_names, readers_of

Stored = Mapping[str, onnx.TensorProto]
LARGEST = 512.0
"""Largest scale with which plugins quantize halves: the ends of INT8, 127 and -128 times it, are halves or beyond."""


class QuantizeWhereRead(GraphPass[PassResult]):
    """Pass that moves quantizers into sparse convolutions.

    A QuantizeLinear reads and writes every pixel, which at low density costs more than the whole convolution. The
    quantizing form of the convolution reads the quantizer's input instead, and rounds the same numbers to the same INT8
    values at the pixels that it reads. The QuantizeLinear is dropped.

    Requires: any graph. A quantizer stays if something other than an INT8 sparse convolution reads it, if it is an
    output of the graph, if its scale and zero point are not constants equal to the convolution's in value and type, or
    if its scale is above 512 and that of halves.
    Ensures: the same results, because the pixels that a sparse convolution does not read have no effect on it.
    """

    def rewrite(self, model: onnx.ModelProto) -> PassResult:
        """Replace the quantizers that only sparse convolutions read."""
        graph = model.graph
        stored, outputs, readers = initializers_of(graph), output_names(graph), readers_of(graph)
        modified = False
        for node in graph.node:
            if node.op_type != "QuantizeLinear" or node.domain or node.output[0] in outputs:
                continue
            found = readers.get(node.output[0], [])
            if found and all(_may_quantize(reader, node, stored) for reader in found):
                modified = True
                for reader in found:
                    _quantize_inside(reader, node.input[0])
        if modified:
            drop_unused(graph)
            renew_function_bodies(model)
        return PassResult(modified)


def _quantize_inside(convolution: onnx.NodeProto, source: str) -> None:
    """Let a convolution quantize the float tensor `source`."""
    operator = operator_of(convolution)
    assert operator is not None and operator.quantizing_form is not None
    convolution.op_type = operator.quantizing_form
    convolution.input[operator.position("x")] = source


def _may_quantize(reader: onnx.NodeProto, quantizer: onnx.NodeProto, stored: Stored) -> bool:
    """Return whether a node may take over a quantizer.

    It must be a sparse convolution that reads the quantizer as `x` alone and gets the same INT8 values with its own
    scale.
    """
    operator = operator_of(reader)
    if operator is None or operator.quantizing_form is None:
        return False
    if [place for place, name in enumerate(reader.input) if name == quantizer.output[0]] != [operator.position("x")]:
        return False
    scale = stored.get(quantizer.input[1])
    own, bias = (stored.get(reader.input[operator.position(name)]) for name in ("x_scale", "bias"))
    if scale is None or own is None or bias is None or scale.data_type != bias.data_type:
        return False  # the quantizer's scale has the type of its input, and the bias has the type of the mask
    if scale.data_type == onnx.TensorProto.FLOAT16 and (numpy_helper.to_array(scale) > LARGEST).any():
        return False
    return _is_zero_int8(quantizer, stored) and _equal_scalars(scale, own)


def _is_zero_int8(quantizer: onnx.NodeProto, stored: Stored) -> bool:
    """Return whether a quantizer's zero point is INT8 0.

    Without a zero point the quantizer gives UINT8.
    """
    zero = stored.get(quantizer.input[2]) if len(quantizer.input) > 2 else None
    return zero is not None and zero.data_type == onnx.TensorProto.INT8 and not numpy_helper.to_array(zero).any()


def _equal_scalars(one: onnx.TensorProto, other: onnx.TensorProto) -> bool:
    """Return whether two constants are one usable scale."""
    a, b = (numpy_helper.to_array(tensor).astype(np.float64).ravel() for tensor in (one, other))
    return a.size == b.size == 1 and 0 < a[0] < np.inf and bool(a[0] == b[0])

"""A graph pass: sparse convolutions quantize what they read, so that no quantizer runs over all pixels before them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from ..operators.bodies import DOMAIN, add_function_bodies
from .graph import drop_unused

FORMS = {"SparseConv2dInt8": "SparseConv2dQuantize", "SparseConv2dInt8Add": "SparseConv2dQuantizeAdd"}
"""Operator -> its form whose first input is a float that becomes INT8 as it is read."""
X, BIAS, X_SCALE = 0, 3, 4
"""Inputs of these operators."""

Stored = Mapping[str, onnx.TensorProto]


class QuantizeWhereRead:
    """Hands the input of a QuantizeLinear to the sparse convolutions behind it, and drops the quantizer.

    A quantizer reads and writes every pixel, which at low density costs more than all the convolution does; the plugin
    rounds the same numbers to the same INT8 values at the pixels that it reads.

    Requires: nothing; quantizers stay that a convolution of another type, the graph's outputs, or any other node reads,
    whose scale or zero point is not constant, not the convolution's, or not its type.
    Ensures: the same results, as the pixels that a sparse convolution does not read have no effect on it.
    """

    def __call__(self, model: onnx.ModelProto) -> bool:
        """Rewrite in place; True if the graph changed."""
        graph = model.graph
        stored = {tensor.name: tensor for tensor in graph.initializer}
        outputs = {value.name for value in graph.output}
        readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in set(node.input):
                readers[name].append(node)
        changed = False
        for node in graph.node:
            if node.op_type != "QuantizeLinear" or node.domain or node.output[0] in outputs:
                continue
            found = readers[node.output[0]]
            if found and all(_may_quantize(reader, node, stored) for reader in found):
                changed = True
                for reader in found:
                    reader.op_type = FORMS[reader.op_type]
                    reader.input[X] = node.input[X]
        if changed:
            drop_unused(graph)
            del model.functions[:]
            add_function_bodies(model)
            self.ensures(model)
        return changed

    def ensures(self, model: onnx.ModelProto) -> None:
        """Raise if the rewritten graph is not valid ONNX."""
        onnx.checker.check_model(model)


def _may_quantize(reader: onnx.NodeProto, quantizer: onnx.NodeProto, stored: Stored) -> bool:
    """Whether a node is a sparse convolution that gets the same INT8 values by quantizing with its own scale."""
    if reader.domain != DOMAIN or reader.op_type not in FORMS:
        return False
    if [place for place, name in enumerate(reader.input) if name == quantizer.output[0]] != [X]:
        return False
    scale, own, bias = (stored.get(name) for name in (quantizer.input[1], reader.input[X_SCALE], reader.input[BIAS]))
    if scale is None or own is None or bias is None or scale.data_type != bias.data_type:
        return False  # the type of the scale is that of x, the type of the bias that of the mask
    return _is_zero_int8(quantizer, stored) and _equal_scalars(scale, own)


def _is_zero_int8(quantizer: onnx.NodeProto, stored: Stored) -> bool:
    """Whether the zero point is given, INT8, and 0: without one the result would be UINT8."""
    zero = stored.get(quantizer.input[2]) if len(quantizer.input) > 2 else None
    return zero is not None and zero.data_type == onnx.TensorProto.INT8 and not numpy_helper.to_array(zero).any()


def _equal_scalars(one: onnx.TensorProto, other: onnx.TensorProto) -> bool:
    """Whether both hold a single number, the same one, and it may be a scale."""
    a, b = (numpy_helper.to_array(tensor).astype(np.float64).ravel() for tensor in (one, other))
    return a.size == b.size == 1 and 0 < a[0] < np.inf and bool(a[0] == b[0])

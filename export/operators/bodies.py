"""Function bodies of the `spair` operators.

A function body defines an operator in standard operators, and every graph carries the bodies of the operators it
uses. ONNX Runtime inlines them. TensorRT's parser (10.7 and later, TensorRT-RTX) falls back to them when no plugin of
the name is registered: the engine is then several times as slow, and nothing reports an error. Earlier parsers, such
as TensorRT 10.3 of JetPack 6, prefer a body to a plugin and may wire a body wrongly. Do not give the file of the
bundle to a parser. For plugins, give it a copy without bodies (`del model.functions[:]`), so that a missing plugin is
an error. To run without plugins, give it a copy whose bodies are written out
(`onnx.inliner.inline_local_functions(model)`).

TensorRT-RTX's parser gives the layers of a body the same names wherever the body is used, and refuses a second
DequantizeLinear of one name. Without the plugin, a graph with several SparseConv2dInt8 must be written out for
TensorRT-RTX as well.

The Python functions below are the source text of ONNX functions (opset 18). They are never run as Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
from onnx import TensorProto, helper
from onnxscript import opset18 as op
from onnxscript import script
from onnxscript.onnx_types import FLOAT, INT8
from onnxscript.values import Opset

from .listed import make_listed_bodies
from .table import DOMAIN

OPSET = 18
"""Version of the standard operators in float graphs. TensorRT 10.3 (JetPack 6) reads no later version in full."""
IR_VERSION = 9
"""Version of the file format, as in ONNX 1.14. The graphs use nothing newer, and older readers refuse higher ones."""
_spair = Opset(DOMAIN, 1)
_BITS = helper.make_tensor("bits", TensorProto.FLOAT, [1, 1, 3, 3], [2.0**bit for bit in range(9)])
_ZERO = helper.make_tensor("zero", TensorProto.INT8, [], [0])


@script(_spair, default_opset=op)
def SparseConv2d(  # noqa: D103, N802
    x: FLOAT,
    mask: FLOAT,
    weight: FLOAT,
    bias: FLOAT,
    pads: Sequence[int],
    negative_slope: float,
    clean_input: float,
) -> FLOAT:
    # max(mask, clean_input) for masks of 0 and 1. A constant would have one type, but mask may be FP16 or FP32.
    readable = op.HardSigmoid(mask, alpha=1.0, beta=clean_input)
    y = op.Conv(op.Mul(x, readable), weight, bias, pads=pads)
    return op.Mul(op.LeakyRelu(y, alpha=negative_slope), mask)


@script(_spair, default_opset=op)
def SparseConv2dInt8(  # noqa: D103, N802
    x: INT8,
    mask: FLOAT,
    weight: INT8,
    bias: FLOAT,
    x_scale: FLOAT,
    weight_scale: FLOAT,
    pads: Sequence[int],
    negative_slope: float,
    clean_input: float,
) -> FLOAT:
    # Summed in FP32, as the plugin scales its INT32 sums. Where mask and bias are FP16, the result is FP16.
    readable = op.HardSigmoid(op.Cast(mask, to=1), alpha=1.0, beta=clean_input)
    values = op.Mul(op.DequantizeLinear(x, x_scale), readable)
    y = op.Conv(values, op.DequantizeLinear(weight, weight_scale, axis=0), op.Cast(bias, to=1), pads=pads)
    return op.Mul(op.CastLike(op.LeakyRelu(y, alpha=negative_slope), mask), mask)


@script(_spair, default_opset=op)
def SparseConv2dQuantize(  # noqa: D103, N802
    x: FLOAT,
    mask: FLOAT,
    weight: INT8,
    bias: FLOAT,
    x_scale: FLOAT,
    weight_scale: FLOAT,
    pads: Sequence[int],
    negative_slope: float,
    clean_input: float,
) -> FLOAT:
    # Quotients are FP32 for every type of x, as in the plugin.
    steps = op.QuantizeLinear(op.Cast(x, to=1), x_scale, op.Constant(value=_ZERO))
    readable = op.HardSigmoid(op.Cast(mask, to=1), alpha=1.0, beta=clean_input)
    values = op.Mul(op.DequantizeLinear(steps, x_scale), readable)
    y = op.Conv(values, op.DequantizeLinear(weight, weight_scale, axis=0), op.Cast(bias, to=1), pads=pads)
    return op.Mul(op.CastLike(op.LeakyRelu(y, alpha=negative_slope), mask), mask)


@script(_spair, default_opset=op)
def SparseConv2dAdd(  # noqa: D103, N802
    x: FLOAT,
    mask: FLOAT,
    weight: FLOAT,
    bias: FLOAT,
    residual: FLOAT,
    pads: Sequence[int],
    negative_slope: float,
    clean_input: float,
) -> FLOAT:
    readable = op.HardSigmoid(mask, alpha=1.0, beta=clean_input)
    y = op.Conv(op.Mul(x, readable), weight, bias, pads=pads)
    return op.Mul(op.Add(op.LeakyRelu(y, alpha=negative_slope), residual), mask)


@script(_spair, default_opset=op)
def SparseConv2dInt8Add(  # noqa: D103, N802
    x: INT8,
    mask: FLOAT,
    weight: INT8,
    bias: FLOAT,
    x_scale: FLOAT,
    weight_scale: FLOAT,
    residual: FLOAT,
    pads: Sequence[int],
    negative_slope: float,
    clean_input: float,
) -> FLOAT:
    readable = op.HardSigmoid(op.Cast(mask, to=1), alpha=1.0, beta=clean_input)
    values = op.Mul(op.DequantizeLinear(x, x_scale), readable)
    y = op.Conv(values, op.DequantizeLinear(weight, weight_scale, axis=0), op.Cast(bias, to=1), pads=pads)
    total = op.Add(op.LeakyRelu(y, alpha=negative_slope), op.Cast(residual, to=1))
    return op.Mul(op.CastLike(total, mask), mask)


@script(_spair, default_opset=op)
def SparseConv2dQuantizeAdd(  # noqa: D103, N802
    x: FLOAT,
    mask: FLOAT,
    weight: INT8,
    bias: FLOAT,
    x_scale: FLOAT,
    weight_scale: FLOAT,
    residual: FLOAT,
    pads: Sequence[int],
    negative_slope: float,
    clean_input: float,
) -> FLOAT:
    steps = op.QuantizeLinear(op.Cast(x, to=1), x_scale, op.Constant(value=_ZERO))
    readable = op.HardSigmoid(op.Cast(mask, to=1), alpha=1.0, beta=clean_input)
    values = op.Mul(op.DequantizeLinear(steps, x_scale), readable)
    y = op.Conv(values, op.DequantizeLinear(weight, weight_scale, axis=0), op.Cast(bias, to=1), pads=pads)
    total = op.Add(op.LeakyRelu(y, alpha=negative_slope), op.Cast(residual, to=1))
    return op.Mul(op.CastLike(total, mask), mask)


@script(_spair, default_opset=op)
def MaskedModulation(x: FLOAT, mask: FLOAT, eps: float) -> FLOAT:  # noqa: D103, N802
    # Halves are computed in FP32 and rounded once, as in the plugin.
    one = op.Constant(value_float=1.0)
    axes = op.Constant(value_ints=[2, 3])
    small = op.Constant(value_float=eps)
    values = op.Cast(x, to=1)
    distorted = op.Cast(mask, to=1)
    clean = op.Sub(one, distorted)
    count0 = op.ReduceSum(clean, axes)
    count1 = op.ReduceSum(distorted, axes)
    total0 = op.Max(count0, one)
    total1 = op.Max(count1, one)
    mean0 = op.Div(op.ReduceSum(op.Mul(values, clean), axes), total0)
    mean1 = op.Div(op.ReduceSum(op.Mul(values, distorted), axes), total1)
    centred0 = op.Mul(op.Sub(values, mean0), clean)
    centred1 = op.Mul(op.Sub(values, mean1), distorted)
    variance0 = op.Div(op.ReduceSum(op.Mul(centred0, centred0), axes), total0)
    variance1 = op.Div(op.ReduceSum(op.Mul(centred1, centred1), axes), total1)
    both = op.Min(op.Min(count0, count1), one)  # 1 when both sets have a pixel, else 0
    ratio = op.Sqrt(op.Div(op.Add(variance0, small), op.Add(variance1, small)))
    scale = op.Add(op.Mul(ratio, both), op.Sub(one, both))
    shift = op.Mul(op.Sub(mean0, op.Mul(mean1, scale)), both)
    change = op.Add(op.Mul(values, op.Sub(scale, one)), shift)
    return op.CastLike(op.Add(values, op.Mul(distorted, change)), x)


@script(_spair, default_opset=op)
def SparseNonLocal(  # noqa: D103, N802
    query: FLOAT, key: FLOAT, value: FLOAT, query_mask: FLOAT, key_mask: FLOAT, scale: float
) -> FLOAT:
    flat = op.Constant(value_ints=[0, 0, -1])
    one = op.Constant(value_float=1.0)
    blocked = op.Constant(value_float=-10000.0)  # exp() of it is 0 beside any clean key
    queries = op.Transpose(op.Reshape(op.Cast(query, to=1), flat), perm=[0, 2, 1])  # [N,P,C]
    usable = op.Reshape(op.Cast(key_mask, to=1), flat)  # [N,1,J]
    keys = op.Reshape(op.Cast(key, to=1), flat)
    scores = op.Mul(op.MatMul(queries, keys), op.Constant(value_float=scale))
    held = op.Add(op.Mul(scores, usable), op.Mul(op.Sub(one, usable), blocked))
    weights = op.Mul(op.Softmax(held, axis=-1), usable)
    values = op.Transpose(op.Reshape(op.Cast(value, to=1), flat), perm=[0, 2, 1])  # [N,J,D]
    found = op.Transpose(op.MatMul(weights, values), perm=[0, 2, 1])  # [N,D,P]
    size = op.Concat(op.Shape(value, start=0, end=2), op.Shape(query, start=2, end=4), axis=0)
    return op.Mul(op.CastLike(op.Reshape(found, size), query_mask), query_mask)


@script(_spair, default_opset=op)
def SparseCompose(picture: FLOAT, residual: FLOAT, mask: FLOAT, low: float, high: float) -> FLOAT:  # noqa: D103, N802
    moved = op.Add(picture, op.Cast(residual, to=1))
    limited = op.Clip(moved, op.Constant(value_float=low), op.Constant(value_float=high))
    return op.Where(op.Greater(op.Cast(mask, to=1), op.Constant(value_float=0.0)), limited, picture)


@script(_spair, default_opset=op)
def SparseIndex(mask: FLOAT):  # noqa: D103, N802
    # Active pixels come first, in ascending order, the others behind them. Numbers are exact: sums of bits are < 2^18.
    one = op.Constant(value_ints=[1])
    active = op.Cast(op.Cast(mask, to=9), to=1)
    listed = op.Cast(op.Reshape(active, op.Constant(value_ints=[0, -1])), to=7)  # [N,P]
    seen = op.CumSum(listed, one)
    total = op.ReduceSum(listed, one, keepdims=1)
    pixel = op.Sub(op.CumSum(op.Add(listed, op.Sub(one, listed)), one), one)
    place = op.Where(op.Cast(listed, to=9), op.Sub(seen, one), op.Sub(op.Add(total, pixel), seen))
    order = op.ScatterElements(pixel, place, pixel, axis=1)
    bits = op.Constant(value=_BITS)
    inside = op.Conv(op.Add(active, op.Sub(op.Constant(value_float=1.0), active)), bits, pads=[1, 1, 1, 1])
    words = op.Add(op.Conv(active, bits, pads=[1, 1, 1, 1]), op.Mul(inside, op.Constant(value_float=512.0)))
    shape = op.Shape(mask)
    index = op.Cast(op.Reshape(order, shape), to=6)
    flat = op.Reshape(words, op.Constant(value_ints=[0, -1]))
    taps = op.Cast(op.Reshape(op.GatherElements(flat, order, axis=1), shape), to=6)
    count = op.Cast(op.Squeeze(total, one), to=6)
    return index, taps, count


# The six convolutions repeat lines. A body that called another would be one more function, and parsers confuse names
# inside nested functions.
BODIES: dict[str, Any] = {
    "SparseConv2d": SparseConv2d,
    "SparseConv2dInt8": SparseConv2dInt8,
    "SparseConv2dAdd": SparseConv2dAdd,
    "SparseConv2dInt8Add": SparseConv2dInt8Add,
    "SparseConv2dQuantize": SparseConv2dQuantize,
    "SparseConv2dQuantizeAdd": SparseConv2dQuantizeAdd,
    "MaskedModulation": MaskedModulation,
    "SparseNonLocal": SparseNonLocal,
    "SparseCompose": SparseCompose,
    "SparseIndex": SparseIndex,
}
BODIES |= make_listed_bodies({name: body.to_function_proto() for name, body in BODIES.items()})
"""Body of each operator of the table, by name."""


def add_function_bodies(model: onnx.ModelProto) -> None:
    """Append the bodies of a graph's `spair` operators, in place.

    The names of a body's tensors begin with the operator's name, because TensorRT's parser confuses a body's names with
    equal names of the outer graph. Bodies are written in the graph's own opset, 18 or later.
    """
    used = {node.op_type for node in model.graph.node if node.domain == DOMAIN}
    version = next(opset.version for opset in model.opset_import if not opset.domain)
    for name in sorted(used):
        body = _prefixed(BODIES[name].to_function_proto())
        for opset in body.opset_import:
            opset.version = opset.version if opset.domain else version
        model.functions.append(body)


def remove_function_bodies(model: onnx.ModelProto) -> None:
    """Remove the bodies of all `spair` operators, in place."""
    others = [function for function in model.functions if function.domain != DOMAIN]
    del model.functions[:]
    model.functions.extend(others)


def renew_function_bodies(model: onnx.ModelProto) -> None:
    """Replace the bodies of `spair` operators, in place.

    This is needed after a change of operators or of the opset.
    """
    remove_function_bodies(model)
    add_function_bodies(model)


def _prefixed(function: onnx.FunctionProto) -> onnx.FunctionProto:
    """Put the operator's name before a body's tensor names."""

    def rename(names: Sequence[str]) -> list[str]:
        return [f"{function.name}_{name}" if name else "" for name in names]

    function.input[:] = rename(function.input)
    function.output[:] = rename(function.output)
    for node in function.node:
        node.input[:] = rename(node.input)
        node.output[:] = rename(node.output)
        node.name = ""  # a body is inlined many times, and parsers number unnamed nodes themselves
    return function

"""Lists of active pixels: the plugin that makes them, and calls of the operators that take them."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from typing import Literal

import numpy as np

from spair.plugins.compaction.reference import sparse_index
from spair.plugins.sparse_conv2d.reference import pack_weight
from tests.plugins.emulated import tensorrt as trt
from tests.plugins.emulated.operators import Call
from tests.plugins.emulated.plugin import PluginHost, Tensor
from tests.plugins.sparse_conv2d.cases import gather

POISON = -7
"""In memory that nothing was written to."""


def describe_index(mask: np.ndarray) -> list[tuple[tuple[int, ...], int]]:
    """Shapes and types of the tensors of SparseIndex."""
    return [(mask.shape, trt.TYPE_OF[mask.dtype]), *[(mask.shape, trt.INT32)] * 2, (mask.shape[:1], trt.INT32)]


def run_index(host: PluginHost, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Index, taps and count of a mask from the plugin, which has no workspace; POISON where it wrote nothing."""
    described = describe_index(mask)
    parsed = host.create("SparseIndex", {})
    assert parsed is not None, host.messages()
    axes = [(0, 2, 3), (0, 2, 3), (0, 2, 3), (0,)]
    ranges = [trt.describe_range(*part, trt.LINEAR, open_) for part, open_ in zip(described, axes, strict=True)]
    assert parsed.supports(ranges) and parsed.configure(ranges) == 0
    engine = host.recreate(parsed)
    attached = engine.attach()
    assert attached is not None, host.messages()
    tensors = [trt.describe(*part) for part in described]
    assert attached.shape_change(tensors) == 0, host.messages()
    given = host.memory.place(mask)
    made = [host.memory.place(np.full(shape, POISON, np.int32)) for shape, _ in described[1:]]
    failed = attached.call(
        host.c.enqueue,
        (trt.PluginTensorDesc * 4)(*tensors),
        1,
        (ctypes.c_void_p * 1)(given.address),
        (ctypes.c_void_p * 3)(*[part.address for part in made]),
        None,
        ctypes.c_void_p(host.memory.stream),
    )
    assert not failed, host.messages()
    host.memory.finish()
    if host.driver.problems:
        raise host.driver.problems.pop()
    for plugin in (parsed, engine, attached):
        plugin.delete()
    index, taps, count = (part.read() for part in made)
    return index, taps, count


def make_lists(mask: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """The definition's index, taps and count of a mask, POISON where an index leaves what was there."""
    index, taps, count = sparse_index(mask)
    for image, number in enumerate(count):
        index[image].flat[number:] = taps[image].flat[number:] = POISON
    return Tensor(index), Tensor(taps), Tensor(count)


def join_channels(call: Call, count: int) -> Call:
    """Make the joined form of a listed call: its last input has the last `count` channels of x."""
    x = call.inputs[0]
    own = x.values.shape[1] - count
    parts = [Tensor(np.ascontiguousarray(part), x.layout) for part in (x.values[:, :own], x.values[:, own:])]
    inputs = [parts[0], *call.inputs[1:], parts[1]]
    return replace(call, name=call.name.replace("Listed", "JoinListed"), inputs=inputs)


def give_steps(call: Call, gives: Literal["int8", "both"], out_scale: float) -> Call:
    """Make the form of a listed call that quantizes its output."""
    name = call.name.replace("Listed", f"To{gives.capitalize()}Listed")
    return replace(call, name=name, attributes={**call.attributes, "out_scale": out_scale}, gives=gives)


def take_list(call: Call, sum_slope: float = 1.0, *, coarse: bool = False) -> Call:
    """Make the listed form of a call.

    It has packed weights, multiplied scales, and the list of the definition.

    Args:
        call: the call.
        sum_slope: slope of the sum with a residual.
        coarse: give the residual as one of half the size.
    """
    lists = make_lists(call.inputs[3 if call.name == "SparseNonLocal" else 1].values)
    if call.name == "SparseNonLocal":
        return replace(call, name=f"{call.name}Listed", inputs=[*call.inputs, lists[0], lists[2]])
    x, mask, weight, bias, *rest = call.inputs
    residual = [rest.pop()] if call.name.endswith("Add") else []
    if rest:
        x_scale, weight_scale = rest
        scale = (x_scale.values.reshape(1) * weight_scale.values).astype(np.float32)
        rest = [x_scale, Tensor(scale)]
    inputs = [x, mask, Tensor(pack_weight(weight.values), fixed=True), bias, *rest, *lists, *residual]
    expected, attributes = call.expected, call.attributes
    if residual:
        expected = np.where(expected < 0, sum_slope * expected, expected)
        attributes = {**attributes, "sum_slope": sum_slope}
    if coarse:
        inputs[-1] = Tensor(gather(residual[0].values), residual[0].layout)
    return replace(
        call, name=f"{call.name}{'Up' * coarse}Listed", inputs=inputs, attributes=attributes, expected=expected
    )

"""Executor of exported graphs with PyTorch.

Functions handed in run `spair` nodes; PyTorch's own functions run all others. Pictures have the channels of a pixel
side by side. Values that follow from the input's shape alone are computed on the CPU when a run's shape is not the last
one's. Only launches are left, so that a CUDA graph can capture a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch.nn import functional as F

from benchmarks.gpu.harness.plugin_nodes import PIXELS, dequantize, make_pixels, quantize
from spair.export.operators.table import BY_NAME, DOMAIN, OUT_SCALE, Gives
from spair.network import operators

OperatorFunction = Callable[[Sequence[torch.Tensor]], Any]
"""Function of a `spair` node from its inputs to its output, or to a tuple of several."""
Attributes = Mapping[str, Any]
OperatorMaker = Callable[[str, Attributes], OperatorFunction]
"""Function that makes the function of a `spair` node from its operator and attributes."""
NodeFunction = Callable[[Attributes, Sequence[Any]], torch.Tensor]
"""Function of another node from attributes and inputs to its output."""

TYPES = {
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.FLOAT16: torch.float16,
    onnx.TensorProto.INT8: torch.int8,
    onnx.TensorProto.INT64: torch.int64,
    onnx.TensorProto.BOOL: torch.bool,
}
HOST = {"Pad": 1, "Slice": 1, "Resize": 1, "Unsqueeze": 1, "Squeeze": 1, "Clip": 1}
"""Position of a node's first input whose numbers PyTorch wants in the host's memory; all later inputs are such too."""


@dataclass(frozen=True)
class Step:
    """Node that depends on the picture."""

    run: Callable[[Sequence[Any]], Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    fixed: Mapping[str, torch.Tensor]
    """Inputs that do not depend on the picture, in the memory where the node wants them."""
    dead: tuple[str, ...]
    """Values that no later step reads."""


class Executor:
    """Graph on a device."""

    def __init__(self, model: onnx.ModelProto, device: str, make: OperatorMaker) -> None:
        """Read the graph; the first run prepares the rest.

        Args:
            model: graph with one input and without subgraphs.
            device: "cuda" or "cpu".
            make: makes the function of a `spair` node from its operator and attributes.

        Raises:
            ValueError: the operator of a node is not known here.
        """
        self.device, self._graph = device, model.graph
        self._attributes = [
            {part.name: helper.get_attribute_value(part) for part in node.attribute} for node in model.graph.node
        ]
        self._runs = [
            _find(node, attributes, make) for node, attributes in zip(model.graph.node, self._attributes, strict=True)
        ]
        self._weights = {part.name: _read(part) for part in model.graph.initializer}
        self._shape: tuple[int, ...] | None = None
        self._steps: list[Step] = []

    def run(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run the graph and return its outputs by name.

        A run only launches where the run before had the same shape.
        """
        image = image.contiguous(memory_format=torch.channels_last)
        if tuple(image.shape) != self._shape:
            return self._prepare(image)
        values = {self._graph.input[0].name: image}
        for step in self._steps:
            made = step.run([step.fixed.get(name, values.get(name)) for name in step.inputs])
            values.update(_name_outputs(step.outputs, made))
            for name in step.dead:
                del values[name]
        return {part.name: values[part.name] for part in self._graph.output}

    def _prepare(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run node by node and note a picture's steps.

        Other pictures of this shape run these steps alone.
        """
        fixed = dict(self._weights)
        values = {self._graph.input[0].name: image}
        last = {name: index for index, node in enumerate(self._graph.node) for name in node.input}
        outputs = {part.name for part in self._graph.output}
        self._steps = []
        for index, (node, run) in enumerate(zip(self._graph.node, self._runs, strict=True)):
            if node.op_type == "Shape":
                fixed[node.output[0]] = _shape(
                    values.get(node.input[0], fixed.get(node.input[0])), self._attributes[index]
                )
            elif all(not name or name in fixed for name in node.input):
                fixed[node.output[0]] = run([fixed.get(name) for name in node.input])
            else:
                places = {
                    name: self._place(node, at, fixed[name]) for at, name in enumerate(node.input) if name in fixed
                }
                gone = sorted(name for name in {*node.input} & {*values} - outputs if last[name] == index)
                step = Step(run, tuple(node.input), tuple(node.output), places, tuple(gone))
                made = run([places.get(name, values.get(name)) for name in node.input])
                values.update(_name_outputs(step.outputs, made))
                for name in gone:
                    del values[name]
                self._steps.append(step)
        self._shape = tuple(image.shape)
        return {name: values[name] for name in outputs}

    def _place(self, node: onnx.NodeProto, at: int, value: torch.Tensor) -> torch.Tensor:
        """Place a fixed input on the device, if wanted there.

        PyTorch wants the numbers of some inputs in the host's memory.
        """
        if at >= HOST.get(node.op_type, len(node.input)):
            return value
        moved = value.to(self.device)
        return moved.contiguous(memory_format=torch.channels_last) if node.op_type == "Conv" and at == 1 else moved


def _name_outputs(names: Sequence[str], made: Any) -> dict[str, torch.Tensor]:
    """Return a node's outputs by name.

    Several come as a tuple.
    """
    return dict(zip(names, made if isinstance(made, tuple) else (made,), strict=True))


def dense_operator(name: str, attributes: Attributes) -> OperatorFunction:
    """Make the dense function of a `spair` node.

    It computes all pixels, as the PyTorch network does.
    """
    if name == "SparseIndex":
        return lambda inputs: (inputs[0],) * 3  # lists that nothing reads
    if name == "MaskedModulation":
        return lambda inputs: operators.masked_modulation(*inputs, eps=attributes["eps"])
    if name.startswith("SparseNonLocal"):
        return lambda inputs: operators.sparse_non_local(*inputs[:5])
    if name == "SparseCompose":
        return lambda inputs: _compose(attributes, *inputs)
    operator = BY_NAME.get(name)
    if operator is None or operator.family != "SparseConv2d":
        raise ValueError(f"there is no dense form of {name} here")
    return lambda inputs: _give(operator.gives, attributes, _convolve_all(name, attributes, inputs))


def _give(gives: Gives, attributes: Attributes, out: torch.Tensor) -> Any:
    """Return an output in the types that a form gives."""
    steps = None if gives == "float" else quantize({}, (out, torch.tensor(attributes[OUT_SCALE])))
    return {"float": out, "int8": steps, "both": (out, steps)}[gives]


def _convolve_all(name: str, attributes: Attributes, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
    """Compute a form of SparseConv2d on all pixels.

    Those with INT8 products compute in FP32.
    """
    x, mask, weight, bias = inputs[:4]
    if "Join" in name:
        x = torch.cat((x, inputs[-1]), 1)
    if name.endswith("Listed"):
        weight = weight.permute((2, 3, 0, 1) if weight.dtype == torch.int8 else (3, 2, 0, 1))
        weight = weight[: len(bias), : x.shape[1]].contiguous()
    if weight.dtype == torch.int8:
        x_scale, scale = inputs[4:6]
        x = x.float() if x.dtype == torch.int8 else (x.float() / x_scale).round().clamp(-128, 127)
        scale = scale if name.endswith("Listed") else scale * x_scale
        mask, weight, bias = mask.float(), weight.float() * scale.reshape(-1, 1, 1, 1), bias.float()
    slope, clean = attributes["negative_slope"], bool(attributes["clean_input"])
    out = operators.sparse_conv2d(x, mask, weight, bias, negative_slope=slope, clean_input=clean)
    if "Add" in name:
        residual = spread(inputs[-1]) if "Up" in name else inputs[-1]
        out = F.leaky_relu(out + residual * mask, attributes.get("sum_slope", 1.0))
    return out.to(inputs[1].dtype)


def _compose(attributes: Attributes, picture: torch.Tensor, residual: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.where(mask > 0, (picture + residual).clamp(attributes["low"], attributes["high"]), picture)


def _find(node: onnx.NodeProto, attributes: Attributes, make: OperatorMaker) -> Any:
    if node.domain == DOMAIN:
        return make(node.op_type, attributes)
    if node.op_type == "Shape":
        return None
    if node.op_type not in NODES:
        raise ValueError(f"the graph has a node {node.op_type}, known here are {', '.join(sorted(NODES))}")
    function = NODES[node.op_type]
    return lambda inputs: function(attributes, inputs)


def _read(tensor: onnx.TensorProto) -> torch.Tensor:
    return torch.from_numpy(np.array(numpy_helper.to_array(tensor)))


def _shape(x: Any, attributes: Attributes) -> torch.Tensor:
    return torch.tensor(tuple(x.shape)[attributes.get("start", 0) : attributes.get("end", None)], dtype=torch.int64)


def _conv(attributes: Attributes, inputs: Sequence[Any]) -> torch.Tensor:
    pads = attributes.get("pads", [0] * 4)
    if pads[:2] != pads[2:]:
        raise ValueError(f"a convolution has pads {pads}, expected the same on both sides")
    x, weight, *bias = inputs
    strides, dilations = attributes.get("strides", [1, 1]), attributes.get("dilations", [1, 1])
    return F.conv2d(x, weight, bias[0] if bias else None, strides, pads[:2], dilations, attributes.get("group", 1))


def _concat(attributes: Attributes, inputs: Sequence[Any]) -> torch.Tensor:
    """Concatenate, with channels laid out as the plugins want them.

    Otherwise each plugin would copy its picture once more.
    """
    axis, first = attributes["axis"], inputs[0]
    if first.dim() != 4 or axis != 1 or first.dtype not in PIXELS:
        return torch.cat(list(inputs), axis)
    n, _, h, w = first.shape
    out = make_pixels((n, sum(x.shape[1] for x in inputs), h, w), first.dtype, first.device)
    start = 0
    for x in inputs:
        out[:, start : start + x.shape[1]].copy_(x)
        start += x.shape[1]
    return out


def _depth_to_space(attributes: Attributes, inputs: Sequence[Any]) -> torch.Tensor:
    size, (n, c, h, w) = attributes["blocksize"], inputs[0].shape
    inner, pixels = c // size**2, inputs[0].permute(0, 2, 3, 1)
    if attributes.get("mode", b"DCR") == b"CRD":
        parts = pixels.reshape(n, h, w, inner, size, size).permute(0, 1, 4, 2, 5, 3)
    else:
        parts = pixels.reshape(n, h, w, size, size, inner).permute(0, 1, 3, 2, 4, 5)
    return parts.reshape(n, h * size, w * size, inner).permute(0, 3, 1, 2)


def spread(coarse: torch.Tensor) -> torch.Tensor:
    """Spread a residual of half the size over its pixels.

    [N,4D,H/2,W/2] becomes [N,D,H,W].
    """
    return _depth_to_space({"blocksize": 2}, [coarse])


def _pad(attributes: Attributes, inputs: Sequence[Any]) -> torch.Tensor:
    amounts = inputs[1].tolist()
    if attributes.get("mode") != b"edge" or any(amounts[axis] for axis in (0, 1, 2, 3, 4, 5)):
        raise ValueError(
            f"Pad has the mode {attributes.get('mode')} and amounts {amounts}, expected edges down and right"
        )
    return F.pad(inputs[0], (0, amounts[7], 0, amounts[6]), mode="replicate") if any(amounts) else inputs[0]


def _pool(function: Callable[..., torch.Tensor]) -> NodeFunction:
    def pool(attributes: Attributes, inputs: Sequence[Any]) -> torch.Tensor:
        if any(attributes.get("pads", [])) or attributes["kernel_shape"] != attributes["strides"]:
            raise ValueError(f"a pool has {dict(attributes)}, expected windows side by side")
        return function(inputs[0], attributes["kernel_shape"])

    return pool


def _resize(attributes: Attributes, inputs: Sequence[Any]) -> torch.Tensor:
    scales = inputs[2].tolist()
    if attributes["mode"] != b"nearest" or scales[:2] != [1, 1] or any(scale % 1 for scale in scales):
        raise ValueError(f"Resize has the mode {attributes['mode']} and scales {scales}, expected whole repetitions")
    return F.interpolate(inputs[0], scale_factor=scales[2:], mode="nearest")


def _slice(attributes: Attributes, inputs: Sequence[Any]) -> torch.Tensor:
    x, starts, ends, axes, *steps = inputs
    where = [slice(None)] * x.dim()
    numbers = zip(starts.tolist(), ends.tolist(), axes.tolist(), steps[0].tolist() if steps else [1] * 8, strict=False)
    for start, end, axis, step in numbers:
        where[axis] = slice(start, end, step)
    return x[tuple(where)]


def _squeeze(attributes: Attributes, inputs: Sequence[Any]) -> torch.Tensor:
    return inputs[0].squeeze() if len(inputs) == 1 else inputs[0].squeeze(inputs[1].tolist())


def _unsqueeze(attributes: Attributes, inputs: Sequence[Any]) -> torch.Tensor:
    x = inputs[0]
    for axis in sorted(inputs[1].reshape(-1).tolist()):
        x = x.unsqueeze(axis)
    return x


def _clip(attributes: Attributes, inputs: Sequence[Any]) -> torch.Tensor:
    limits = [None if limit is None else limit.item() for limit in (*inputs[1:], None, None)[:2]]
    return inputs[0].clamp(*limits)


def _div(attributes: Attributes, inputs: Sequence[Any]) -> torch.Tensor:
    whole = not inputs[0].is_floating_point()
    return torch.div(*inputs, rounding_mode="trunc" if whole else None)


def _range(attributes: Attributes, inputs: Sequence[Any]) -> torch.Tensor:
    return torch.arange(*(part.item() for part in inputs), dtype=inputs[0].dtype)


def _plain(function: Callable[..., torch.Tensor]) -> NodeFunction:
    return lambda attributes, inputs: function(*inputs)


NODES: dict[str, NodeFunction] = {
    **{name: _plain(getattr(torch, name.lower())) for name in ("Add", "Sub", "Mul", "Where", "MatMul", "Relu", "Less")},
    "Greater": _plain(torch.gt),
    "Equal": _plain(torch.eq),
    "And": _plain(torch.logical_and),
    "Mod": _plain(torch.remainder),
    "AveragePool": _pool(F.avg_pool2d),
    "Cast": lambda attributes, inputs: inputs[0].to(TYPES[attributes["to"]]),
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "DepthToSpace": _depth_to_space,
    "DequantizeLinear": dequantize,
    "Div": _div,
    "MaxPool": _pool(F.max_pool2d),
    "Pad": _pad,
    "QuantizeLinear": quantize,
    "Range": _range,
    "Resize": _resize,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Transpose": lambda attributes, inputs: inputs[0].permute(attributes["perm"]),
    "Unsqueeze": _unsqueeze,
}
"""Functions of ONNX operators by name. Absent inputs are None."""

"""Function of PyTorch's tensors that runs a `spair` node's plugin.

The plugin works on the tensors' memory and on PyTorch's stream.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional as F

from spair.export.operators.table import BY_NAME, CHANNELS
from tests.plugins.emulated import tensorrt as trt
from tests.plugins.emulated.plugin import Plugin, PluginHost

IGNORED = ("plugin_version", "plugin_namespace", "domain")
KINDS = {torch.float32: trt.FLOAT, torch.float16: trt.HALF, torch.int8: trt.INT8, torch.int32: trt.INT32}
STEPS = 32
"""Channels of a plane of INT8 pictures."""
PIXELS = {torch.float32: (trt.HWC, 1), torch.float16: (trt.HWC8, 8), torch.int8: (trt.CHW32, STEPS)}
"""Format of pictures with the channels of a pixel side by side, and the multiple that their number is padded to."""


def make_pixels(shape: Sequence[int], dtype: torch.dtype, device: Any) -> torch.Tensor:
    """Allocate a picture [N,C,H,W] in the plugins' layout.

    The channels of a pixel lie side by side and are padded.
    """
    n, c, h, w = shape
    step = PIXELS[dtype][1]
    memory = torch.empty((n, h, w, -(-c // step) * step), dtype=dtype, device=device)
    return memory.permute(0, 3, 1, 2)[:, :c]


def to_pixels(x: torch.Tensor) -> torch.Tensor:
    """Return a picture in the plugins' layout.

    It is the picture itself where it lies like that already, else a copy. INT8 has planes, see `make_planes`.
    """
    if x.dtype == torch.int8:
        return x.contiguous() if x.dim() > 4 else _to_planes(x)
    _, c, h, w = x.shape
    step = PIXELS[x.dtype][1]
    pitch = -(-c // step) * step
    strides = (h * w * pitch, 1, w * pitch, pitch)
    if all(size == 1 or own == wanted for size, own, wanted in zip(x.shape, x.stride(), strides, strict=True)):
        return x
    return make_pixels(x.shape, x.dtype, x.device).copy_(x)


def make_planes(shape: Sequence[int], device: Any) -> torch.Tensor:
    """Allocate an INT8 picture [N,C,H,W] in the plugins' layout.

    It is [N,C/32,H,W,32], with the channels rounded up.
    """
    n, c, h, w = shape
    return torch.empty((n, -(-c // STEPS), h, w, STEPS), dtype=torch.int8, device=device)


def _to_planes(x: torch.Tensor) -> torch.Tensor:
    n, c, h, w = x.shape
    filled = F.pad(x, (0, 0, 0, 0, 0, -c % STEPS))
    return filled.reshape(n, -1, STEPS, h, w).permute(0, 1, 3, 4, 2).contiguous()


def _shape_lists(mask: torch.Tensor) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of a mask's index, taps and count."""
    return tuple(mask.shape), tuple(mask.shape), (mask.shape[0],)


class PluginNode:
    """Node of a graph that runs as a plugin.

    The first call with given shapes makes the plugin as an engine would; later calls only launch it. INT8 pictures are
    [N,C/32,H,W,32] between such nodes, and nothing else reads them.
    """

    def __init__(self, host: PluginHost, name: str, attributes: Mapping[str, Any]) -> None:
        self._host, self._name = host, name
        self._attributes = {key: value for key, value in attributes.items() if key not in IGNORED}
        self._plugin: Plugin | None = None
        self._made_for: Any = None

    def __call__(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Run the node and return its output [N,D,H,W].

        Of several outputs, such as SparseIndex's index, taps and count, it returns all; INT8 is as `make_planes` has
        it. The outputs' memory and the workspace are PyTorch's.

        Raises:
            RuntimeError: the plugin refuses the tensors, or fails; the message is its own.
        """
        lists = self._name == "SparseIndex"
        planes = lists or self._name == "SparseCompose"  # whose outputs have no pixels side by side
        pictures = self._find_pictures(len(inputs))
        placed = [to_pixels(x) if index in pictures else x.contiguous() for index, x in enumerate(inputs)]
        if lists:
            made = [torch.empty(shape, dtype=torch.int32, device=placed[0].device) for shape in _shape_lists(placed[0])]
        elif planes:
            made = [torch.empty_like(placed[0])]
        else:
            made = self._make_pictures(inputs)
        wanted = tuple((tuple(x.shape), x.dtype) for x in (*placed, *made))
        if self._made_for != wanted:
            layouts = [PIXELS[x.dtype][0] if index in pictures else trt.LINEAR for index, x in enumerate(placed)]
            of_outputs = [trt.LINEAR if planes else PIXELS[x.dtype][0] for x in made]
            self._deploy([*placed, *made], [*layouts, *of_outputs])
            self._made_for = wanted
        self._launch(placed, made)
        return tuple(made) if len(made) > 1 else made[0]

    def _make_pictures(self, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Allocate the outputs in the layout of pixels."""
        gives, (shape, dtype) = BY_NAME[self._name].gives, self._find_output(inputs)
        numbers = [make_pixels(shape, dtype, inputs[0].device)] if gives != "int8" else []
        return numbers + ([make_planes(shape, inputs[0].device)] if gives != "float" else [])

    def _find_pictures(self, count: int) -> set[int]:
        """Return the places of inputs in the layout of pixels."""
        if self._name == "SparseIndex":
            return set()
        if self._name == "SparseCompose":
            return {1}
        return {0, count - 1} if "Add" in self._name or "Join" in self._name else {0}

    def _find_output(self, inputs: Sequence[torch.Tensor]) -> tuple[tuple[int, ...], torch.dtype]:
        n, _, h, w = inputs[1].shape if self._name.startswith("SparseConv2d") else inputs[0].shape
        if self._name == "MaskedModulation":
            return tuple(inputs[0].shape), inputs[0].dtype
        if self._name.startswith("SparseNonLocal"):
            return (n, inputs[2].shape[1], h, w), inputs[0].dtype
        return (n, inputs[3].shape[0], h, w), inputs[1].dtype

    def _deploy(self, tensors: Sequence[torch.Tensor], layouts: Sequence[int]) -> None:
        shapes = [tuple(x.shape) if x.dim() < 5 else self._shape_of(x, at, tensors) for at, x in enumerate(tensors)]
        described = [(shape, KINDS[x.dtype], to) for shape, x, to in zip(shapes, tensors, layouts, strict=True)]
        parsed = self._require(self._host.create(self._name, self._attributes))
        ranges = [trt.describe_range(*part) for part in described]
        if not parsed.supports(ranges):
            raise RuntimeError(f"{self._name} refuses the types or formats {described}")
        self._workspace = parsed.configure(ranges)
        engine = self._host.recreate(parsed)
        attached = self._require(engine.attach())
        for plugin in filter(None, (parsed, engine, self._plugin)):
            plugin.delete()
        self._plugin = attached
        tensors_now = [trt.describe(*part) for part in described]
        if attached.shape_change(tensors_now):
            raise RuntimeError(self._host.messages())
        self._described = (trt.PluginTensorDesc * len(tensors_now))(*tensors_now)

    def _shape_of(self, planes: torch.Tensor, at: int, tensors: Sequence[torch.Tensor]) -> tuple[int, ...]:
        """Return the shape [N,C,H,W] of an INT8 x or output."""
        n, _, h, w, _ = planes.shape
        weight, bias = tensors[2:4]
        (own,) = self._attributes.get(CHANNELS, [weight.shape[1]])
        return n, own if at == 0 else bias.shape[0], h, w

    def _launch(self, inputs: Sequence[torch.Tensor], outputs: Sequence[torch.Tensor]) -> None:
        device = outputs[0].device
        workspace = torch.empty(self._workspace, dtype=torch.uint8, device=device)
        stream = torch.cuda.current_stream().cuda_stream if device.type == "cuda" else 0
        failed = self._require(self._plugin).call(
            self._host.c.enqueue,
            self._described,
            len(inputs),
            (ctypes.c_void_p * len(inputs))(*[x.data_ptr() for x in inputs]),
            (ctypes.c_void_p * len(outputs))(*[x.data_ptr() for x in outputs]),
            ctypes.c_void_p(workspace.data_ptr()),
            ctypes.c_void_p(stream),
        )
        if failed:
            raise RuntimeError(f"{self._name}: {self._host.messages() or self._host.driver.problems}")

    def _require(self, plugin: Plugin | None) -> Plugin:
        if plugin is None:
            raise RuntimeError(self._host.messages())
        return plugin


def quantize(attributes: Mapping[str, Any], inputs: Sequence[Any]) -> torch.Tensor:
    """Round a tensor to INT8, as QuantizeLinear does."""
    scale = _along_axis(attributes, inputs[0], inputs[1])
    return (inputs[0].float() / scale).round().clamp(-128, 127).to(torch.int8)


def dequantize(attributes: Mapping[str, Any], inputs: Sequence[Any]) -> torch.Tensor:
    """Return the values that INT8 stands for, as DequantizeLinear does."""
    return (inputs[0].float() * _along_axis(attributes, inputs[0], inputs[1])).to(inputs[1].dtype)


def _along_axis(attributes: Mapping[str, Any], x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Return the scales of x, shaped to multiply it.

    They are FP32. Graphs of the calibration have no zero points but 0.
    """
    if scale.numel() == 1:
        return scale.float().reshape(())
    axis = attributes.get("axis", 1) % x.dim()
    return scale.float().reshape([-1 if place == axis else 1 for place in range(x.dim())])

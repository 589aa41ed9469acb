"""Plugin of one node, as an engine holds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from tests.emulated.double.execution import RefusalError
from tests.plugins.emulated import tensorrt as trt
from tests.plugins.emulated.layouts import empty_layout, from_layout, to_layout
from tests.plugins.emulated.operators import PIXEL_FORMAT
from tests.plugins.emulated.plugin import Plugin, PluginHost

IGNORED = ("plugin_version", "plugin_namespace", "domain")
"""Attributes that name the plugin."""
Known = tuple[tuple[int, ...], np.dtype]
"""Shape and type of a tensor."""


class PluginNode:
    """Plugin that was configured, serialized and read back.

    The formats are the first that the plugin takes: the channels of a pixel side by side where it can, as TensorRT
    chooses for real networks.
    """

    def __init__(self, host: PluginHost, node: onnx.NodeProto, least: Sequence[Known], most: Sequence[Known]) -> None:
        """Make the plugin of a node.

        Its tensors have shapes between the smallest and the largest.

        Raises:
            RefusalError: the library refuses the node or its tensors.
        """
        self._host, self.name = host, node.name
        attributes = {
            part.name: onnx.helper.get_attribute_value(part) for part in node.attribute if part.name not in IGNORED
        }
        parsed = self._require(host.create(node.op_type, attributes))
        open_axes = [
            [axis for axis, sizes in enumerate(zip(small[0], large[0], strict=True)) if sizes[0] != sizes[1]]
            for small, large in zip(least, most, strict=True)
        ]
        self.layouts: list[int] = []
        ranges: list[trt.DynamicPluginTensorDesc] = []
        for position, ((shape, dtype), axes) in enumerate(zip(most, open_axes, strict=True)):
            self._add_tensor(parsed, ranges, position, len(most), (shape, dtype, axes))
        self.workspace = parsed.configure(ranges)
        self._engine_plugin = host.recreate(parsed)
        parsed.delete()

    def _add_tensor(self, plugin: Plugin, ranges: list, position: int, count: int, tensor: tuple) -> None:
        """Choose the format of the next tensor."""
        shape, dtype, axes = tensor
        pixels = PIXEL_FORMAT.get(dtype, trt.LINEAR) if len(shape) == 4 else trt.LINEAR
        for layout in (pixels, trt.LINEAR):
            described = trt.describe_range(shape, trt.TYPE_OF[dtype], layout, axes)
            array = (trt.DynamicPluginTensorDesc * count)(*ranges, described)
            if plugin.call(self._host.c.supports, position, array, count - plugin.outputs):
                ranges.append(described)
                self.layouts.append(layout)
                return
        raise RefusalError(f"{self.name} takes tensor {position}, {dtype}{list(shape)}, in no format")

    def attach(self) -> Plugin:
        """Return the plugin of an execution context.

        Raises:
            RefusalError: it cannot be attached here.
        """
        return self._require(self._engine_plugin.attach())

    def describe(self, tensors: Sequence[Known]) -> Any:
        """Return the tensors of a call as C structures."""
        described = [
            trt.describe(shape, trt.TYPE_OF[dtype], layout)
            for (shape, dtype), layout in zip(tensors, self.layouts, strict=True)
        ]
        return (trt.PluginTensorDesc * len(described))(*described)

    def delete(self) -> None:
        """Give the plugin back."""
        self._engine_plugin.delete()

    def _require(self, plugin: Plugin | None) -> Plugin:
        if plugin is None:
            raise RefusalError(self._host.messages().strip())
        return plugin


def measure(known: Known, layout: int) -> int:
    """Return the bytes of a tensor in a layout."""
    return place(known, layout)[0].nbytes


def place(known: Known, layout: int, value: np.ndarray | None = None) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return a tensor as it lies in memory.

    The second result is its shape there. Without a value it is zeros.
    """
    shape, dtype = known
    if layout == trt.LINEAR:
        made = np.zeros(shape, dtype) if value is None else value
    elif value is None:
        made = empty_layout(shape, layout, dtype, 0)  # type: ignore[arg-type]
    else:
        made = to_layout(value, layout, np.nan if dtype.kind == "f" else 77)
    return made, made.shape


def unplace(memory: np.ndarray, known: Known, layout: int) -> np.ndarray:
    """Return a tensor [N,C,H,W] from its layout."""
    return from_layout(memory, layout, known[0][1]) if layout != trt.LINEAR else memory

"""A plugin taken through TensorRT's life cycle: parsed, configured, serialized, deserialized, attached, run."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.plugins.emulated import tensorrt as trt
from tests.plugins.emulated.driver import EmulatedDriver
from tests.plugins.emulated.layouts import empty_layout, from_layout, to_layout

ALIGNMENT = 256
"""Of device memory, in bytes."""
GUARD = 512
"""Bytes behind the workspace that must stay as they are."""
POISON_BYTE = 0xFF
"""In floats it is NaN, in integers -1."""


@dataclass(frozen=True)
class Tensor:
    """An input: values [N,C,H,W] (or fewer dimensions), and the layout in which the plugin gets them."""

    values: np.ndarray
    layout: int = trt.LINEAR
    padding: Any = np.nan
    """What fills the channels that a layout adds: a plugin must not use it."""

    @property
    def kind(self) -> int:
        """nvinfer1::DataType."""
        return trt.TYPE_OF[self.values.dtype]

    def in_memory(self) -> np.ndarray:
        """As it lies in device memory, aligned."""
        padding = self.padding if self.values.dtype.kind == "f" else 77
        return _aligned_copy(to_layout(self.values, self.layout, padding) if self.values.ndim == 4 else self.values)


class PluginHost:
    """Plays TensorRT: C functions of harness.cpp around the creators of a library."""

    def __init__(self, harness: Path, driver: EmulatedDriver) -> None:
        self.driver = driver
        self.c = ctypes.CDLL(str(harness))
        for name in ("find_creator", "create", "clone", "attach"):
            getattr(self.c, name).restype = ctypes.c_void_p
        for name in ("take_messages", "plugin_name", "timing_cache_id"):
            getattr(self.c, name).restype = ctypes.c_char_p
        self.c.fields.restype = ctypes.POINTER(trt.PluginFieldCollection)
        self.c.workspace_size.restype = ctypes.c_size_t
        self.c.supports.restype = ctypes.c_bool

    def messages(self) -> str:
        """What the library logged since the last call."""
        return self.c.take_messages().decode()

    def create(self, name: str, attributes: Mapping[str, Any], phase: int = trt.BUILD) -> Plugin | None:
        """A plugin of a node's attributes; None where the creator refuses."""
        made = [trt.make_field(key, value) for key, value in attributes.items()]
        array = (trt.PluginField * len(made))(*[field for field, _ in made])
        handle = self.c.create(ctypes.c_void_p(self._creator(name)), array, len(made), phase)
        return Plugin(self, name, handle) if handle else None

    def recreate(self, plugin: Plugin) -> Plugin:
        """The plugin that an engine would make of what this one serializes."""
        fields = plugin.call(self.c.fields)
        assert fields, self.messages()
        creator = ctypes.c_void_p(self._creator(plugin.name))
        handle = self.c.create(creator, fields.contents.fields, fields.contents.count, trt.RUNTIME)
        assert handle, self.messages()
        return Plugin(self, plugin.name, handle)

    def attributes(self, name: str) -> list[str]:
        """The attributes that the parser passes on for a node of that name."""
        names = (ctypes.c_char_p * 16)()
        count = self.c.attribute_names(ctypes.c_void_p(self._creator(name)), names)
        return [names[index].decode() for index in range(count)]

    def _creator(self, name: str) -> int:
        creator = self.c.find_creator(ctypes.c_void_p(self.driver.library._handle), name.encode())
        assert creator, f"the library has no plugin {name}, version 1, namespace spair"
        return creator


class Plugin:
    """One IPluginV3."""

    def __init__(self, host: PluginHost, name: str, handle: int) -> None:
        self.host, self.name, self.handle = host, name, handle

    def call(self, function: Any, *arguments: Any) -> Any:
        """A C function of the harness on this plugin."""
        return function(ctypes.c_void_p(self.handle), *arguments)

    def clone(self) -> Plugin:
        """IPluginV3::clone."""
        return Plugin(self.host, self.name, self.call(self.host.c.clone))

    def attach(self) -> Plugin | None:
        """IPluginV3OneRuntime::attachToContext; None where it fails."""
        handle = self.call(self.host.c.attach)
        return Plugin(self.host, self.name, handle) if handle else None

    def delete(self) -> None:
        """Give it back."""
        self.call(self.host.c.destroy)

    def timing_cache_id(self) -> str:
        """The key under which TensorRT keeps timings."""
        return self.call(self.host.c.timing_cache_id).decode()

    def output_type(self, kinds: Sequence[int]) -> int:
        """Type of the output for those of the inputs; -1 where it is refused."""
        return self.call(self.host.c.output_type, (ctypes.c_int32 * len(kinds))(*kinds), len(kinds))

    def output_sources(self, ranks: Sequence[int]) -> list[tuple[int, int]] | None:
        """Which (input, axis) each of the output's sizes is; None where the inputs' ranks are refused."""
        sources = (ctypes.c_int * 8)()
        failed = self.call(self.host.c.output_shape, (ctypes.c_int * len(ranks))(*ranks), len(ranks), sources)
        return None if failed else [divmod(source, 8) for source in sources[:4]]

    def supports(self, tensors: Sequence[trt.DynamicPluginTensorDesc]) -> bool:
        """Whether every tensor, looked at after those before it, may have its type and format."""
        array = (trt.DynamicPluginTensorDesc * len(tensors))(*tensors)
        return all(
            self.call(self.host.c.supports, position, array, len(tensors) - 1) for position in range(len(tensors))
        )

    def configure(self, tensors: Sequence[trt.DynamicPluginTensorDesc]) -> int:
        """Tell it what it will be built for; returns the bytes of workspace that it wants."""
        array = (trt.DynamicPluginTensorDesc * len(tensors))(*tensors)
        assert self.call(self.host.c.configure, array, len(tensors) - 1) == 0, self.host.messages()
        return self.call(self.host.c.workspace_size, array, len(tensors) - 1)

    def shape_change(self, tensors: Sequence[trt.PluginTensorDesc]) -> int:
        """IPluginV3OneRuntime::onShapeChange."""
        return self.call(self.host.c.shape_change, (trt.PluginTensorDesc * len(tensors))(*tensors), len(tensors) - 1)

    def enqueue(
        self,
        inputs: Sequence[Tensor],
        shape: tuple[int, int, int, int],
        kind: int,
        layout: int,
        workspace: int,
        whole: bool = True,
    ) -> np.ndarray | None:
        """Run on memory full of poison; the output as [N,C,H,W], or None where the plugin says that it failed.

        Raises:
            AssertionError: it wrote behind the workspace, or, where it writes `whole` outputs, left poison in padding.
            Exception: whatever went wrong in the interpreter.
        """
        dtype = next(dtype for dtype, code in trt.TYPE_OF.items() if code == kind)
        tensors = [trt.describe(part.values.shape, part.kind, part.layout) for part in inputs]
        tensors.append(trt.describe(shape, kind, layout))
        memory = [part.in_memory() for part in inputs]
        before = [part.copy() for part in memory]
        out = _aligned_copy(empty_layout(shape, layout, dtype, np.nan))
        scratch = _aligned_copy(np.full(workspace + GUARD, POISON_BYTE, np.uint8))
        pointers = (ctypes.c_void_p * len(memory))(*[part.ctypes.data for part in memory])
        failed = self.call(
            self.host.c.enqueue,
            (trt.PluginTensorDesc * len(tensors))(*tensors),
            len(inputs),
            pointers,
            ctypes.c_void_p(out.ctypes.data),
            ctypes.c_void_p(scratch.ctypes.data),
            ctypes.c_void_p(STREAM),
        )
        if self.host.driver.problems:
            raise self.host.driver.problems.pop()
        assert (scratch[workspace:] == POISON_BYTE).all(), "written behind the workspace"
        for part, old in zip(memory, before, strict=True):
            np.testing.assert_array_equal(part, old, "an input was changed")
        if failed:
            return None
        assert layout == trt.LINEAR or not whole or not np.isnan(out).any(), (
            "the padding of the output was left as it was"
        )
        return from_layout(out, layout, shape[1])


STREAM = 0x5A0
"""A made stream: every launch must be on it."""


def _aligned_copy(array: np.ndarray) -> np.ndarray:
    """A C-contiguous copy at an address that is aligned as device memory is."""
    whole = np.empty(array.nbytes + ALIGNMENT, np.uint8)
    start = -whole.ctypes.data % ALIGNMENT
    copy = whole[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy

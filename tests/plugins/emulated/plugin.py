"""A plugin taken through TensorRT's life cycle: parsed, configured, serialized, deserialized, attached, run."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tests.plugins.emulated import tensorrt as trt
from tests.plugins.emulated.layouts import empty_layout, from_layout, to_layout
from tests.plugins.emulated.memory import Memory

GUARD = 512
"""Bytes behind a workspace, or an array on a GPU, that must stay as they are."""
POISON_BYTE = 0xFF
"""In floats it is NaN, in integers -1."""
INTEGER_POISON = 99
"""In outputs of integers; it is possible and wrong."""


@dataclass(frozen=True)
class Tensor:
    """An input: values [N,C,H,W] (or fewer dimensions), and the layout in which the plugin gets them."""

    values: np.ndarray
    layout: int = trt.LINEAR
    padding: Any = np.nan
    """What fills the channels that a layout adds: a plugin must not use it."""
    fixed: bool = False
    """Whether it has one size for all pictures, as weights have."""

    @property
    def kind(self) -> int:
        """nvinfer1::DataType."""
        return trt.TYPE_OF[self.values.dtype]

    def in_memory(self) -> np.ndarray:
        """As it lies in device memory."""
        padding = self.padding if self.values.dtype.kind == "f" else 77
        return to_layout(self.values, self.layout, padding) if self.values.ndim == 4 else self.values


def build_harness(path: Path, headers: Sequence[Path], compiler: str = "g++") -> Path:
    """Compile C functions around TensorRT's interfaces, with the headers that the library was compiled with."""
    options = [part for folder in headers for part in ("-isystem", str(folder))]
    command = [compiler, "-std=c++17", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", *options, "-o", str(path)]
    subprocess.run([*command, str(Path(__file__).with_name("harness.cpp")), "-ldl"], check=True)
    return path


class Driver(Protocol):
    """What a host asks of the driver below a plugin library: `EmulatedDriver`, or the machine's own."""

    library: ctypes.CDLL
    problems: list[Exception]
    """What went wrong in launches."""
    counts: bool
    """Whether it knows what is launched."""
    launches: list[Any]
    """Those since a test cleared them, where the driver knows them."""


class PluginHost:
    """Plays TensorRT: C functions of harness.cpp around the creators of a library."""

    def __init__(self, harness: Path, driver: Any, memory: Memory) -> None:
        """A host on a `Driver`."""
        self.driver, self.memory = driver, memory
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

    @property
    def outputs(self) -> int:
        """Number of its outputs."""
        return self.call(self.host.c.output_count)

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

    def output_type(self, kinds: Sequence[int], output: int = 0) -> int:
        """Type of an output for those of the inputs; -1 where it is refused."""
        return self.call(self.host.c.output_type, (ctypes.c_int32 * len(kinds))(*kinds), len(kinds), output)

    def output_sources(self, ranks: Sequence[int], output: int = 0) -> list[tuple[int, int]] | None:
        """Find the (input, axis) of each output size.

        None where the ranks of the inputs are refused.
        """
        sources = (ctypes.c_int * (8 * self.outputs))(*[-1] * (8 * self.outputs))
        failed = self.call(self.host.c.output_shape, (ctypes.c_int * len(ranks))(*ranks), len(ranks), sources)
        own = sources[8 * output : 8 * output + 8]
        return None if failed else [divmod(source, 8) for source in own if source >= 0]

    def supports(self, tensors: Sequence[trt.DynamicPluginTensorDesc]) -> bool:
        """Whether every tensor, looked at after those before it, may have its type and format."""
        array = (trt.DynamicPluginTensorDesc * len(tensors))(*tensors)
        inputs = len(tensors) - self.outputs
        return all(self.call(self.host.c.supports, position, array, inputs) for position in range(len(tensors)))

    def configure(self, tensors: Sequence[trt.DynamicPluginTensorDesc]) -> int:
        """Tell it what it will be built for; returns the bytes of workspace that it wants."""
        array = (trt.DynamicPluginTensorDesc * len(tensors))(*tensors)
        inputs = len(tensors) - self.outputs
        assert self.call(self.host.c.configure, array, inputs) == 0, self.host.messages()
        return self.call(self.host.c.workspace_size, array, inputs)

    def shape_change(self, tensors: Sequence[trt.PluginTensorDesc]) -> int:
        """IPluginV3OneRuntime::onShapeChange."""
        array = (trt.PluginTensorDesc * len(tensors))(*tensors)
        return self.call(self.host.c.shape_change, array, len(tensors) - self.outputs)

    def bind(
        self,
        inputs: Sequence[Tensor],
        shape: tuple[int, int, int, int],
        outputs: Sequence[tuple[int, int]],
        workspace: int,
    ) -> Bound:
        """Put the tensors of a call into memory that is else full of poison.

        `outputs` are type and layout of each, all of one shape.
        """
        return Bound(self, inputs, shape, outputs, workspace)


class Bound:
    """A plugin's call with its tensors in memory: launched as often as one likes."""

    def __init__(
        self,
        plugin: Plugin,
        inputs: Sequence[Tensor],
        shape: tuple[int, int, int, int],
        outputs: Sequence[tuple[int, int]],
        workspace: int,
    ) -> None:
        memory = plugin.host.memory
        described = [trt.describe(part.values.shape, part.kind, part.layout) for part in inputs]
        described += [trt.describe(shape, kind, layout) for kind, layout in outputs]
        self.plugin, self.shape, self.workspace = plugin, shape, workspace
        self._layouts = [layout for _, layout in outputs]
        self._tensors = (trt.PluginTensorDesc * len(described))(*described)
        self._before = [part.in_memory() for part in inputs]
        self._inputs = [memory.place(part) for part in self._before]
        self._outs = [memory.place(_make_poison(shape, kind, layout)) for kind, layout in outputs]
        self._scratch = memory.place(np.full(workspace + GUARD, POISON_BYTE, np.uint8))
        self._pointers = (ctypes.c_void_p * len(inputs))(*[part.address for part in self._inputs])

    def run(self, whole: bool = True) -> np.ndarray | None:
        """Launch once; the output as [N,C,H,W], or None where the plugin says that it failed.

        Raises:
            AssertionError, Exception: see `read`.
        """
        failed = self.launch()
        out = self.read(whole)
        return None if failed else out

    def launch(self) -> int:
        """IPluginV3OneRuntime::enqueue; 0, or that it failed."""
        host = self.plugin.host
        return self.plugin.call(
            host.c.enqueue,
            self._tensors,
            len(self._inputs),
            self._pointers,
            (ctypes.c_void_p * len(self._outs))(*[part.address for part in self._outs]),
            ctypes.c_void_p(self._scratch.address),
            ctypes.c_void_p(host.memory.stream),
        )

    def change(self, inputs: Sequence[Tensor]) -> None:
        """Other inputs of the same shapes, in the same places, and poison in the outputs."""
        self._before = [part.in_memory() for part in inputs]
        for place, content in zip(self._inputs, self._before, strict=True):
            place.write(content)
        for out in self._outs:
            out.write(np.full_like(out.read(), _poison_of(out.read().dtype)))

    def read(self, whole: bool = True) -> np.ndarray:
        """The first output, as `read_all`."""
        return self.read_all(whole)[0]

    def read_all(self, whole: bool = True) -> list[np.ndarray]:
        """The outputs as [N,C,H,W], after all launches.

        Raises:
            AssertionError: the plugin wrote behind the workspace or into an input, or, where it writes `whole`
                outputs, left poison in padding.
            Exception: whatever went wrong in the interpreter.
        """
        host = self.plugin.host
        host.memory.finish()
        if host.driver.problems:
            raise host.driver.problems.pop()
        assert (self._scratch.read()[self.workspace :] == POISON_BYTE).all(), "written behind the workspace"
        for part, old in zip(self._inputs, self._before, strict=True):
            np.testing.assert_array_equal(part.read(), old, "an input was changed")
        found = []
        for place, layout in zip(self._outs, self._layouts, strict=True):
            out = place.read()
            assert layout == trt.LINEAR or not whole or not np.isnan(out).any(), (
                "the padding of the output was left as it was"
            )
            found.append(from_layout(out, layout, self.shape[1]))
        return found


def _poison_of(dtype: np.dtype) -> Any:
    return np.nan if dtype.kind == "f" else INTEGER_POISON


def _make_poison(shape: tuple[int, int, int, int], kind: int, layout: int) -> np.ndarray:
    dtype = next(dtype for dtype, code in trt.TYPE_OF.items() if code == kind)
    return empty_layout(shape, layout, dtype, _poison_of(dtype))

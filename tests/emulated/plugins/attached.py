"""Plugins of one execution context, and their work."""

from __future__ import annotations

import ctypes
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.emulated.double.execution import Call, RefusalError
from tests.emulated.driver.gpu import EmulatedGPU
from tests.emulated.plugins.cutting import Piece, PluginStep
from tests.emulated.plugins.node import Known, PluginNode, place, unplace
from tests.plugins.emulated import tensorrt as trt
from tests.plugins.emulated.plugin import Plugin

if TYPE_CHECKING:
    from tests.emulated.plugins.executor import PluginExecutor


class Attached:
    """Attached plugins; they are told of shapes when these change."""

    def __init__(self, gpu: EmulatedGPU, executor: PluginExecutor) -> None:
        self._gpu, self._executor = gpu, executor
        self._plugins: list[Plugin] = []
        self._told: dict[str, Any] | None = None
        try:
            for node in executor.nodes:
                self._plugins.append(node.attach())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the plugins back."""
        for plugin in self._plugins:
            plugin.delete()
        self._plugins = []

    def enqueue(self, stream: int, call: Call) -> bool:
        """Put all steps on a stream.

        False if the driver refuses.

        Raises:
            RefusalError: a plugin refuses; the words are its own.
        """
        shapes = {name: call.shapes[name] for name in call.inputs}
        known, (places, _) = self._executor.probe(shapes), self._executor.lay_out(shapes)
        run = Run(self._gpu, stream, call, known, places, self._executor.addresses)
        plugins = iter(zip(self._executor.nodes, self._plugins, strict=True))
        if run.add(lambda: call.begin(self._gpu)):
            return False
        index = 0
        for step in self._executor.steps:
            if isinstance(step, Piece):
                run.add_piece(step)
                continue
            node, plugin = next(plugins)
            refused = self._told != shapes and plugin.shape_change(list(node.describe(run.tensors(step))))
            if refused or not run.add_plugin(step, node, plugin, index):
                raise RefusalError(plugin.host.messages().strip())
            index += 1
        self._told = shapes
        return run.add(partial(_finish, call, self._gpu)) == 0


def _finish(call: Call, gpu: EmulatedGPU) -> None:
    call.is_sound(gpu)
    call.done = True


class Run:
    """Work of one execution, step by step."""

    def __init__(
        self,
        gpu: EmulatedGPU,
        stream: int,
        call: Call,
        known: dict[str, Known],
        places: dict[Any, int],
        weights: dict[str, int],
    ) -> None:
        self._gpu, self._stream, self._known, self._places = gpu, stream, known, places
        self._scratch = call.scratch[0]
        inner = {key: self._scratch + offset for key, offset in places.items() if isinstance(key, str)}
        self._addresses = inner | weights | call.addresses
        self._uses = call.list_addresses()

    def add(self, work: Any) -> int:
        """Put a piece of work on the stream.

        It keeps the inputs and outputs in use.
        """
        return self._gpu.enqueue(self._stream, work, *self._uses)

    def tensors(self, step: PluginStep) -> list[Known]:
        """Return shape and type of a plugin's inputs and outputs."""
        return [self._known[name] for name in (*step.inputs, *step.outputs)]

    def add_piece(self, piece: Piece) -> None:
        """Let ONNX Runtime compute nodes between plugins."""

        def work() -> None:
            feeds = {name: self._view(name).copy() for name in piece.inputs}
            for name, value in zip(piece.outputs, piece.session.run(piece.outputs, feeds), strict=True):
                self._view(name)[...] = value

        self.add(work)

    def add_plugin(self, step: PluginStep, node: PluginNode, plugin: Plugin, index: int) -> bool:
        """Let a plugin launch its kernels.

        Tensors in other formats are copied before and after it.
        """
        names, addresses = [*step.inputs, *step.outputs], []
        for position, (name, layout) in enumerate(zip(names, node.layouts, strict=True)):
            other = (index, position) in self._places
            addresses.append(self._scratch + self._places[index, position] if other else self._addresses[name])
            if other and name in step.inputs:
                self.add(partial(self._reformat, name, layout, addresses[-1]))
        failed = plugin.call(
            plugin.host.c.enqueue,
            node.describe(self.tensors(step)),
            len(step.inputs),
            (ctypes.c_void_p * len(step.inputs))(*addresses[: len(step.inputs)]),
            (ctypes.c_void_p * len(step.outputs))(*addresses[len(step.inputs) :]),
            ctypes.c_void_p(self._scratch + self._places[index]),
            ctypes.c_void_p(self._stream),
        )
        for name, layout, address in zip(names, node.layouts, addresses, strict=True):
            if name in step.outputs and layout != trt.LINEAR:
                self.add(partial(self._restore, name, layout, address))
        return not failed

    def _reformat(self, name: str, layout: int, address: int) -> None:
        placed, shape = place(self._known[name], layout, self._view(name))
        self._gpu.view(address, shape, placed.dtype, f"{name} in format {layout}")[...] = placed

    def _restore(self, name: str, layout: int, address: int) -> None:
        _, shape = place(self._known[name], layout)
        memory = self._gpu.view(address, shape, self._known[name][1], f"{name} in format {layout}")
        self._view(name)[...] = unplace(memory, self._known[name], layout)

    def _view(self, name: str) -> np.ndarray:
        shape, dtype = self._known[name]
        return self._gpu.view(self._addresses[name], shape, dtype, name)

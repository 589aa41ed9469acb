"""Executor of plans with compiled plugins.

Between the plugins ONNX Runtime computes, as work on the stream. Everything that flows between the steps lies in the
context's scratch memory, also copies in other formats and the plugins' workspaces, as in a real engine.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from tests.emulated.double.execution import Call, Shape
from tests.emulated.double.plan import Plan
from tests.emulated.driver.gpu import EmulatedGPU
from tests.emulated.plugins.attached import Attached
from tests.emulated.plugins.cutting import PluginStep, cut_graph, open_probe
from tests.emulated.plugins.node import Known, PluginNode, measure
from tests.plugins.emulated import tensorrt as trt
from tests.plugins.emulated.plugin import PluginHost

ALIGNMENT = 256
"""Bytes to which tensors in scratch memory are aligned; as many are free at both ends, for stamps."""


class PluginExecutor:
    """Steps of a graph, with plugins and their weights."""

    def __init__(self, gpu: EmulatedGPU, plan: Plan, host: PluginHost, threads: int) -> None:
        """Make the plugins for the plan's profiles.

        Raises:
            RefusalError: the library refuses a node.
        """
        self._gpu, self.host = gpu, host
        self.steps = cut_graph(plan.graph, threads)
        self._inner = [name for step in self.steps for name in step.outputs]
        self._probe = open_probe(plan.graph, self._inner, threads)
        self._outputs = [value.name for value in plan.graph.graph.output]
        self._inputs = {
            value.name: onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            for value in plan.graph.graph.input
        }
        self._known: dict[tuple, dict[str, Known]] = {}
        read = {name for step in self.steps if isinstance(step, PluginStep) for name in step.inputs}
        weights = {part.name: numpy_helper.to_array(part) for part in plan.graph.graph.initializer}
        self.weights = {name: value for name, value in weights.items() if name in read}
        self.nodes: list[PluginNode] = []
        least, most = (
            self.probe({name: shapes[index] for name, shapes in plan.profiles[0].items()}) for index in (0, 2)
        )
        for step in self.steps:
            if isinstance(step, PluginStep):
                names = [*step.inputs, *step.outputs]
                tensors = [[known[name] for name in names] for known in (least, most)]
                self.nodes.append(PluginNode(host, step.node, *tensors))
        self.addresses = {name: self._upload(value) for name, value in self.weights.items()}

    def probe(self, shapes: Mapping[str, Shape]) -> dict[str, Known]:
        """Return shape and type of every tensor.

        They are found by a run on zeros, and depend on the inputs' shapes alone.
        """
        key = tuple(sorted(shapes.items()))
        if key not in self._known:
            feeds = {name: np.zeros(shape, self._inputs[name]) for name, shape in shapes.items()}
            values = dict(zip(self._inner, self._probe.run(self._inner, feeds), strict=True))
            everything = feeds | values | self.weights
            self._known[key] = {name: (value.shape, value.dtype) for name, value in everything.items()}
        return self._known[key]

    def infer_shapes(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """Return the outputs' shapes for the inputs' shapes."""
        known = self.probe(shapes)
        return {name: known[name][0] for name in self._outputs}

    def scratch_size(self, shapes: Mapping[str, Shape]) -> int:
        """Return the bytes of scratch memory for the inputs' shapes."""
        return self.lay_out(shapes)[1]

    def lay_out(self, shapes: Mapping[str, Shape]) -> tuple[dict[Any, int], int]:
        """Return the places in scratch memory, and its size.

        Tensors have places by name, copies in other formats by (index of the plugin, position), and workspaces by
        the index of the plugin.
        """
        known = self.probe(shapes)
        sizes: dict[Any, int] = {
            name: measure(known[name], trt.LINEAR) for name in self._inner if name not in self._outputs
        }
        plugins = [step for step in self.steps if isinstance(step, PluginStep)]
        for index, (step, node) in enumerate(zip(plugins, self.nodes, strict=True)):
            sizes[index] = node.workspace
            for position, (name, layout) in enumerate(zip([*step.inputs, *step.outputs], node.layouts, strict=True)):
                if layout != trt.LINEAR:
                    sizes[index, position] = measure(known[name], layout)
        places, offset = {}, ALIGNMENT
        for key, size in sizes.items():
            places[key] = offset
            offset += (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
        return places, offset + ALIGNMENT

    def attach(self, gpu: EmulatedGPU) -> Attached:
        """Return the plugins of an execution context."""
        return Attached(gpu, self)

    def enqueue(self, gpu: EmulatedGPU, stream: int, call: Call) -> bool:
        """Put all steps on a stream."""
        attached: Attached = call.attached
        return attached.enqueue(stream, call)

    def _upload(self, value: np.ndarray) -> int:
        address = ctypes.c_uint64()
        code = self._gpu.cuda.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(max(value.nbytes, 1)))
        assert code == 0, code
        self._gpu.view(address.value, value.shape, value.dtype, "weights")[...] = value
        return address.value

    def close(self) -> None:
        """Give plugins and weights back.

        Queued work may still hold this object.
        """
        for node in self.nodes:
            node.delete()
        for address in self.addresses.values():
            self._gpu.cuda.cuMemFree_v2(ctypes.c_uint64(address))
        self.nodes, self.addresses = [], {}

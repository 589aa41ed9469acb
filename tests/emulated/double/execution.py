"""Execution of an engine, as work on a stream."""

from __future__ import annotations

import itertools
import struct
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import onnx
import onnxruntime

from spair.runtime.backends.onnxruntime import WRONG_OPTIMIZERS
from tests.emulated.double.kinds import NUMPY
from tests.emulated.driver.gpu import AccessError, EmulatedGPU

if TYPE_CHECKING:
    from tests.emulated.double.context import IExecutionContext

POISON = 0xFF
"""Byte that fills what must not be used; in floats it is NaN."""
SCRATCH_PER_ELEMENT = 16
"""Bytes of scratch memory that a plan without plugins wants for each element of its inputs."""
STAMPS = itertools.count(1)
Shape = tuple[int, ...]


class RefusalError(Exception):
    """Refusal of an executor; its words go to the log."""


class Executor(Protocol):
    """Runner of a plan's graph; all methods may raise `RefusalError`."""

    def attach(self, gpu: EmulatedGPU) -> Any:
        """Return what an execution context has of its own.

        It is closed with the context.
        """

    def infer_shapes(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """Return the outputs' shapes for the inputs' shapes."""

    def scratch_size(self, shapes: Mapping[str, Shape]) -> int:
        """Return the bytes of scratch memory for the inputs' shapes."""

    def enqueue(self, gpu: EmulatedGPU, stream: int, call: Call) -> bool:
        """Put one run on a stream."""

    def close(self) -> None:
        """Give back what the engine has of its own."""


class Call:
    """State of an execution context when it executes."""

    def __init__(self, context: IExecutionContext, captured: bool) -> None:
        engine = context._engine
        self.context, self.generation = weakref.ref(context), context._generation
        self.shapes, self.addresses = dict(context._shapes), dict(context._addresses)
        self.kinds = {name: tensor.dtype for name, tensor in engine._tensors.items()}
        self.inputs, self.outputs = list(engine._inputs), list(engine._outputs)
        self.scratch, self.attached = (context._scratch.address, context._scratch.needed), context._attached
        self.captured, self.done = captured, False
        self._stamp = b""

    def view(self, gpu: EmulatedGPU, name: str) -> np.ndarray:
        """Return a tensor in device memory."""
        return gpu.view(self.addresses[name], self.shapes[name], NUMPY[self.kinds[name].name], f"tensor {name}")

    def list_addresses(self) -> tuple[list[int], list[int]]:
        """Return the addresses that the work reads and writes."""
        written = [*(self.addresses[name] for name in self.outputs), self.scratch[0]]
        return [self.addresses[name] for name in self.inputs], written

    def begin(self, gpu: EmulatedGPU) -> None:
        """Write the scratch memory, as the first layers do.

        Raises:
            AccessError: the context is gone, or its memory is freed or too small.
        """
        if self.context() is None:
            gpu.report("an execution runs whose context was destroyed")
            raise AccessError("context")
        scratch = self._view_scratch(gpu)
        self._stamp = struct.pack("<Q", next(STAMPS))
        scratch[...] = POISON
        scratch[:8] = scratch[-8:] = np.frombuffer(self._stamp, np.uint8)

    def is_sound(self, gpu: EmulatedGPU) -> bool:
        """Whether the last layers find what the first ones left.

        If not, the outputs become poison.
        """
        context, scratch = self.context(), self._view_scratch(gpu)
        problems = []
        if scratch[:8].tobytes() != self._stamp or scratch[-8:].tobytes() != self._stamp:
            problems.append("scratch memory of an execution was overwritten while it ran")
        if self.captured and (context is None or context._generation != self.generation):
            problems.append("a graph is replayed after shapes or addresses of its context were changed")
        for problem in problems:
            gpu.report(problem)
        for name in self.outputs if problems else ():
            self.view(gpu, name).reshape(-1).view(np.uint8)[...] = POISON
        return not problems

    def _view_scratch(self, gpu: EmulatedGPU) -> np.ndarray:
        return gpu.view(self.scratch[0], (self.scratch[1],), np.uint8, "the context's scratch memory")


def open_session(graph: onnx.ModelProto, threads: int) -> onnxruntime.InferenceSession:
    """Open a graph in ONNX Runtime, on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    options.add_session_config_entry("optimization.disable_specified_optimizers", WRONG_OPTIMIZERS)
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, ["CPUExecutionProvider"])


class OnnxExecutor:
    """Executor of the whole graph by ONNX Runtime."""

    def __init__(self, graph: onnx.ModelProto, threads: int) -> None:
        self._session = open_session(graph, threads)
        self._types = {
            value.name: onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            for value in graph.graph.input
        }
        self._names = [value.name for value in graph.graph.output]

    def attach(self, gpu: EmulatedGPU) -> None:
        """Return nothing, since contexts own nothing."""

    def infer_shapes(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """Return the outputs' shapes, found by a run on zeros."""
        feeds = {name: np.zeros(shape, self._types[name]) for name, shape in shapes.items()}
        return {name: value.shape for name, value in zip(self._names, self._session.run(None, feeds), strict=True)}

    def scratch_size(self, shapes: Mapping[str, Shape]) -> int:
        """Return bytes in proportion to the inputs' elements."""
        return SCRATCH_PER_ELEMENT * sum(int(np.prod(shape)) for shape in shapes.values())

    def close(self) -> None:
        """Do nothing, since the engine owns nothing."""

    def enqueue(self, gpu: EmulatedGPU, stream: int, call: Call) -> bool:
        """Put one run on a stream.

        It is two pieces of work, between which other streams may work.
        """

        def compute() -> None:
            if call.is_sound(gpu):
                feeds = {name: call.view(gpu, name).copy() for name in call.inputs}
                targets = [call.view(gpu, name) for name in call.outputs]
                for target, value in zip(targets, self._session.run(call.outputs, feeds), strict=True):
                    target[...] = value
            call.done = True

        reads, writes = call.list_addresses()
        code = gpu.enqueue(stream, lambda: call.begin(gpu), reads, writes)
        return not (code or gpu.enqueue(stream, compute, reads, writes))

"""Slot of the runner, for one shape.

All addresses are fixed, and nothing is allocated after it was opened. Tests derive slots with one mistake from it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.emulated.runner.device import LOG, Buffer, Device, Graph, RunError

NON_BLOCKING = 1
"""Flag of a stream that does not wait for the default stream; pycuda has no name for it."""
WARM_UP = 3
"""Runs before a capture."""
Shapes = Mapping[str, tuple[int, ...]]


class Slot:
    """One inference at a time.

    It is made and closed with the device current.
    """

    def __init__(self, device: Device, trt: Any, engine: Any, shapes: Shapes, graph: bool) -> None:
        self._device, self._lock = device, threading.Lock()
        self._stream = device.cuda.Stream(NON_BLOCKING)
        flags = device.cuda.event_flags
        self._done = device.cuda.Event(flags.BLOCKING_SYNC | flags.DISABLE_TIMING)
        self._graph: Graph | None = None
        self._inputs: dict[str, Buffer] = {}
        self._outputs: dict[str, Buffer] = {}
        self._scratch: Any = None
        self._context = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        try:
            if self._context is None:
                raise RunError("TensorRT makes no execution context; its log says why")
            self._bind(trt, engine, shapes)
            self._provide()
            self._warm_up(WARM_UP if graph else 0)
            self._graph = device.capture(self._stream, self._enqueue) if graph else None
        except BaseException:
            self.close()
            raise

    @property
    def captured(self) -> bool:
        """Whether it replays a graph."""
        return self._graph is not None

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return copies of the outputs for these inputs."""
        with self._lock, self._device.current():
            for name, buffer in self._inputs.items():
                np.copyto(buffer.host, feeds[name], casting="no")
            self._launch()
            self._wait()
            return {name: buffer.host.copy() for name, buffer in self._outputs.items()}

    def close(self) -> None:
        """Wait, then free everything, the stream last.

        A lost device is no reason to stop.
        """
        try:
            self._stream.synchronize()
        except self._device.cuda.Error as error:
            LOG.error("closing: %s", error)
        if self._graph is not None:
            self._graph.destroy()
        self._graph = self._context = None
        for buffer in (*self._inputs.values(), *self._outputs.values()):
            buffer.free()
        if self._scratch is not None:
            self._scratch.free()
        self._inputs, self._outputs, self._scratch = {}, {}, None
        self._done = self._stream = None

    def _bind(self, trt: Any, engine: Any, shapes: Shapes) -> None:
        """Set shapes, make buffers, set addresses."""
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        for name in inputs:
            if not self._context.set_input_shape(name, shapes[name]):
                raise RunError(f"the engine takes no {name} of shape {shapes[name]}; its log says what it takes")
        for name in names:
            shape = tuple(self._context.get_tensor_shape(name))
            buffer = Buffer(self._device, shape, trt.nptype(engine.get_tensor_dtype(name)))
            (self._inputs if name in inputs else self._outputs)[name] = buffer
            if not self._context.set_tensor_address(name, int(buffer.device)):
                raise RunError(f"the engine takes no address for {name}")

    def _provide(self) -> None:
        """Give the context its scratch memory."""
        size = self._context.update_device_memory_size_for_shapes()
        self._scratch = self._device.cuda.mem_alloc(max(size, 1))
        self._context.set_device_memory(int(self._scratch), size)

    def _warm_up(self, runs: int) -> None:
        for _ in range(runs):
            self._enqueue()
            self._stream.synchronize()

    def _enqueue(self) -> None:
        """Queue copies and inference; this is what is captured."""
        for buffer in self._inputs.values():
            self._device.cuda.memcpy_htod_async(buffer.device, buffer.host, self._stream)
        if not self._context.execute_async_v3(self._stream.handle):
            raise RunError("the engine does not run; TensorRT's log says why")
        for buffer in self._outputs.values():
            self._device.cuda.memcpy_dtoh_async(buffer.host, buffer.device, self._stream)

    def _launch(self) -> None:
        if self._graph is None:
            self._enqueue()
        else:
            self._graph.launch(self._stream)
        self._done.record(self._stream)

    def _wait(self) -> None:
        self._done.synchronize()

"""Execution context, with the refusals that TensorRT documents."""

from __future__ import annotations

import ctypes
import operator
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.emulated.double.execution import Call, RefusalError
from tests.emulated.double.kinds import Dims
from tests.emulated.double.listeners import ILogger, IProfiler
from tests.emulated.double.scratch import Scratch

if TYPE_CHECKING:
    from tests.emulated.double.engine import ICudaEngine


class IExecutionContext:
    """Context for one thread at a time."""

    def __init__(self, engine: ICudaEngine, attached: Any, user_managed: bool) -> None:
        self._engine, self._gpu, self._log = engine, engine._runtime._world.gpu, engine._runtime.logger
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._generation, self._warm = 0, -1
        self._scratch = Scratch(engine.device_memory_size_v2, user_managed)
        self._last: tuple[int, Call] | None = None
        self._inside: int | None = None
        self._attached = attached
        self.active_optimization_profile, self.engine = 0, engine
        self.profiler: IProfiler | None = None
        self.enqueue_emits_profile = True
        self._conflict = ""
        self._forget_shapes()

    @property
    def all_binding_shapes_specified(self) -> bool:
        """Whether all inputs have their shapes."""
        return not self.infer_shapes()

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        """Choose a profile; all shapes have to be set again.

        Raises:
            RuntimeError: there is no such profile, or the stream is captured.
        """
        with self._call():
            profiles = self._engine.num_optimization_profiles
            if not 0 <= profile_index < profiles or self._gpu.is_capturing(stream_handle):
                words = f"set_optimization_profile_async takes profile {profile_index} of {profiles}, or in a capture"
                self._gpu.report(f"{words}; bindings of TensorRT 10.3 end the process here")
                raise RuntimeError("Error in set optimization profile async.")
            if self._last and not self._last[1].done and self._last[0] != stream_handle:
                self._gpu.report("a profile is chosen while the context works on another stream")
            self.active_optimization_profile = profile_index
            self._forget_shapes()
            return self._gpu.enqueue(stream_handle, lambda: None) == 0

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        """Set an input's shape; False outside of the profile."""
        with self._call():
            tensor = self._engine._inputs.get(name)
            shape = tuple(operator.index(size) for size in shape)
            if tensor is None or len(shape) != len(tensor.axes):
                return self._refuse(f"setInputShape: {name} with {len(shape)} dimensions is no input")
            fixed = tensor.shape({})
            least, _, most = self._engine._plan.profiles[self.active_optimization_profile].get(name, [fixed] * 3)
            if not all(low <= size <= high for low, size, high in zip(least, shape, most, strict=True)):
                return self._refuse(
                    f"setInputShape: {name} {shape} does not satisfy any optimization profiles {least} {most}"
                )
            if self._shapes[name] != shape:
                self._change(name, shape)
            return True

    def infer_shapes(self) -> list[str]:
        """Return the names of inputs without a shape."""
        return [name for name in self._engine._inputs if -1 in self._shapes[name]]

    def get_tensor_shape(self, name: str) -> Dims:
        """Return a shape.

        Sizes that the shapes of the inputs do not say are -1.
        """
        return Dims(self._shapes[name])

    def set_tensor_address(self, name: str, memory: int) -> bool:
        """Set a tensor's address.

        What lies there shows when work runs.
        """
        with self._call():
            if name not in self._engine._tensors:
                return self._refuse(f"setTensorAddress: invalid tensor name {name}")
            memory = operator.index(memory)
            self._generation += self._addresses.get(name) != memory
            self._addresses[name] = memory
            return True

    def get_tensor_address(self, name: str) -> int:
        """Return an address, 0 where none was set."""
        return self._addresses.get(name, 0)

    def set_device_memory(self, memory: int, size: int) -> None:
        """Give scratch memory to a context that is USER_MANAGED.

        What is refused is not used.
        """
        with self._call():
            memory, size = operator.index(memory), operator.index(size)
            refusal = self._scratch.refuse(memory, size)
            if refusal:
                self._refuse(f"setDeviceMemoryV2: {refusal}")
            else:
                self._generation += self._scratch.give(memory, size)

    def update_device_memory_size_for_shapes(self) -> int:
        """Return the scratch memory for the shapes in bytes.

        0 where some are not.
        """
        with self._call():
            if self.infer_shapes():
                self._refuse("updateDeviceMemorySizeForShapes: not all input shapes are set")
                return 0
            shapes = {name: self._shapes[name] for name in self._engine._inputs}
            self._scratch.updated = self._engine._executor.scratch_size(shapes)
            return self._scratch.updated

    def execute_async_v3(self, stream_handle: int) -> bool:
        """Put one inference on the stream."""
        with self._call():
            time.sleep(0)  # other threads may come in here: TensorRT releases the interpreter's lock
            refusal = self._find_refusal(stream_handle) or self._find_capture_refusal(stream_handle)
            if refusal:
                return self._refuse(f"enqueueV3: {refusal}")
            capturing = self._gpu.is_capturing(stream_handle)
            call = Call(self, capturing)
            self._last = self._last if capturing else (stream_handle, call)
            try:
                if not self._engine._executor.enqueue(self._gpu, stream_handle, call):
                    return self._refuse("enqueueV3: Error Code 1: Cuda Runtime")
            except RefusalError as error:
                return self._refuse(f"enqueueV3: {error}")
            if not capturing:
                self._warm = self._generation
            if self.profiler is None or not self.enqueue_emits_profile:
                return True
            code = self._gpu.cuda.cuStreamSynchronize(ctypes.c_uint64(stream_handle))
            return code == 0 and self.report_to_profiler()

    def report_to_profiler(self) -> bool:
        """Report the layers' times of the last execution.

        It must have ended.
        """
        if self.profiler is None or self._last is None:
            return self._refuse("reportToProfiler: there is no profiler, or no execution")
        if not self._last[1].done:
            self._gpu.report("report_to_profiler is called before the execution ended")
            return False
        measure = self._engine._runtime._world.layer_time
        for index, node in enumerate(self._engine._layers):
            self.profiler.report_layer_time(node.name, measure(node, index))
        return True

    def __del__(self) -> None:
        if self._gpu.current_context() != self._engine._cuda:
            self._gpu.report("an execution context is destroyed while its CUDA context is not current")
        if self._last and not self._last[1].done:
            self._gpu.report("an execution context is destroyed while its work is queued")
        if self._attached is not None:
            self._attached.close()
        self._scratch.free(self._gpu)

    def _find_refusal(self, stream: int) -> str | None:
        """Return why nothing can run now, or None.

        Mistakes that TensorRT does not notice become problems.
        """
        unknown = [n for n in self._engine._tensors if -1 in self._shapes[n] or not self._addresses.get(n)]
        if unknown or self._conflict:
            return self._conflict or f"shape or address of {', '.join(unknown)} was not set"
        if self._gpu.current_context() != self._engine._cuda:
            self._gpu.report("execute_async_v3 while another CUDA context than the engine's is current")
            return "another CUDA context is current"
        if self._scratch.size < self._scratch.needed:
            return f"the device memory of the context is not set, or has less than {self._scratch.needed} bytes"
        if self._last and self._last[0] != stream and not self._last[1].done:
            self._gpu.report("one execution context is used on two streams at the same time")
        if stream == 0:
            words = "Using default stream in enqueueV3() may lead to performance issues"
            self._log.log(ILogger.Severity.WARNING, words)
        return None

    def _find_capture_refusal(self, stream: int) -> str | None:
        """Return why a capture fails here, or None.

        Deferred work and a profiler break it.
        """
        profiles = self.profiler is not None and self.enqueue_emits_profile
        if not self._gpu.is_capturing(stream) or (self._warm == self._generation and not profiles):
            return None
        self._gpu.cuda.cuStreamSynchronize(ctypes.c_uint64(stream))
        return "Error Code 1: Cuda Runtime (operation not permitted when stream is capturing)"

    def _forget_shapes(self) -> None:
        self._generation += 1
        self._scratch.updated = None
        self._shapes = {name: tuple(tensor.shape({})) for name, tensor in self._engine._tensors.items()}
        self._infer()

    def _change(self, name: str, shape: tuple[int, ...]) -> None:
        self._generation += 1
        self._scratch.updated = None
        self._shapes[name] = shape
        self._infer()

    def _infer(self) -> None:
        """Find the outputs' shapes.

        The names of axes say them, or a run does.
        """
        sizes: dict[str, int] = {}
        self._conflict = ""
        for name, tensor in self._engine._inputs.items():
            for axis, size in zip(tensor.axes, self._shapes[name], strict=True):
                if isinstance(axis, str) and size >= 0 and sizes.setdefault(axis, size) != size:
                    self._conflict = f"axis {axis} is {sizes[axis]} and {size} in different inputs"
        for name, tensor in self._engine._outputs.items():
            self._shapes[name] = tensor.shape(sizes)
        known = not self.infer_shapes() and not self._conflict
        if known and any(-1 in self._shapes[name] for name in self._engine._outputs):
            inputs = {name: self._shapes[name] for name in self._engine._inputs}
            self._shapes |= self._engine._executor.infer_shapes(inputs)

    @contextmanager
    def _call(self) -> Iterator[None]:
        me = threading.get_ident()
        if self._inside not in (None, me):
            self._gpu.report("two threads are in one execution context")
        self._inside = me
        try:
            yield
        finally:
            self._inside = None

    def _refuse(self, words: str) -> bool:
        self._log.log(ILogger.Severity.ERROR, f"IExecutionContext::{words}")
        return False

"""Answers of the double to questions of the C++ library."""

from __future__ import annotations

import ctypes
from types import ModuleType
from typing import Any

from tests.emulated.double.kinds import ExecutionContextAllocationStrategy, LayerInformationFormat
from tests.emulated.double.listeners import ILogger, IProfiler
from tests.emulated.double.plan import read_plan

VALID, INVALID, VERSION_MISMATCH = 0, 2, 1
"""Numbers of trt.EngineValidity and of its diagnostics."""


class Answers:
    """Objects of the double, and a method for each question."""

    def __init__(self, library: ctypes.CDLL, double: ModuleType, real: ModuleType) -> None:
        """Answer for a double behind the real package.

        Args:
            library: the C++ library, for messages and reports.
            double: the package that `make_module` made.
            real: NVIDIA's bindings, for the numbers of types.
        """
        self.failed: list[BaseException] = []
        """Errors in answers, which are bugs of the double."""
        self._c, self._double = library, double
        self._types = {name: int(kind) for name, kind in real.DataType.__members__.items()}
        self._objects: dict[int, Any] = {}
        self._texts: dict[str, Any] = {}

    def answer(self, method: str, own: int, text: str, values: list[int]) -> Any:
        """Return a number or a tuple of numbers.

        An error is kept, and the answer is 0.
        """
        try:
            return getattr(self, f"_{method}")(self._objects.get(own, own), text, *values)
        except BaseException as error:
            self.failed.append(error)
            return 0

    def _keep(self, made: Any) -> int:
        if made is None:
            return 0
        self._objects[id(made)] = made
        return id(made)

    def _keep_text(self, text: str) -> int:
        kept = self._texts.setdefault(text, ctypes.create_string_buffer(text.encode()))
        return ctypes.addressof(kept)

    def _delete(self, made: Any, text: str) -> None:
        del self._objects[id(made)]

    # Runtime and registry

    def _create_runtime(self, _: int, text: str, log: int) -> int:
        send = self._c.double_log

        class Log(ILogger):
            def log(self, severity: Any, msg: str) -> None:
                send(log, int(severity), msg.encode())

        return self._keep(self._double.Runtime(Log()))

    def _load_library(self, runtime: Any, text: str) -> int:
        return self._keep(runtime.get_plugin_registry().load_library(text))

    def _deregister_library(self, runtime: Any, text: str, handle: int) -> None:
        runtime.get_plugin_registry().deregister_library(self._objects.pop(handle))

    def _deserialize(self, runtime: Any, text: str, address: int, size: int) -> int:
        return self._keep(runtime.deserialize_cuda_engine(ctypes.string_at(address, size)))

    def _validity(self, runtime: Any, text: str, address: int, size: int) -> tuple[int, int]:
        try:
            read_plan(ctypes.string_at(address, size), self._double.__version__, runtime._world.magic)
        except ValueError:
            return INVALID, VERSION_MISMATCH
        return VALID, 0

    # Engine and inspector

    def _layers(self, engine: Any, text: str) -> int:
        return engine.num_layers

    def _profiles(self, engine: Any, text: str) -> int:
        return engine.num_optimization_profiles

    def _verbosity(self, engine: Any, text: str) -> int:
        return engine.profiling_verbosity.value

    def _device_memory(self, engine: Any, text: str) -> int:
        return engine.device_memory_size_v2

    def _device_memory_for_profile(self, engine: Any, text: str, profile: int) -> int:
        return engine.get_device_memory_size_for_profile_v2(profile)

    def _tensors(self, engine: Any, text: str) -> int:
        return engine.num_io_tensors

    def _tensor_name(self, engine: Any, text: str, index: int) -> int:
        return self._keep_text(engine.get_tensor_name(index))

    def _tensor_mode(self, engine: Any, text: str) -> int:
        return engine.get_tensor_mode(text).value

    def _tensor_type(self, engine: Any, text: str) -> int:
        return self._types[engine.get_tensor_dtype(text).name]

    def _engine_shape(self, engine: Any, text: str) -> tuple[int, ...]:
        return tuple(engine.get_tensor_shape(text))

    def _profile_shape(self, engine: Any, text: str, profile: int, selector: int) -> tuple[int, ...]:
        shapes = engine.get_tensor_profile_shape(text, profile)
        return tuple(shapes[selector]) if shapes else ()

    def _create_context(self, engine: Any, text: str, strategy: int) -> int:
        return self._keep(engine.create_execution_context(ExecutionContextAllocationStrategy(strategy)))

    def _create_inspector(self, engine: Any, text: str) -> int:
        return self._keep(engine.create_engine_inspector())

    def _layer_information(self, inspector: Any, text: str, index: int, form: int) -> int:
        return self._keep_text(inspector.get_layer_information(index, LayerInformationFormat(form)))

    def _engine_information(self, inspector: Any, text: str, form: int) -> int:
        return self._keep_text(inspector.get_engine_information(LayerInformationFormat(form)))

    # Execution context

    def _profile(self, context: Any, text: str) -> int:
        return context.active_optimization_profile

    def _set_profile(self, context: Any, text: str, index: int, stream: int) -> bool:
        try:
            return context.set_optimization_profile_async(index, stream)
        except RuntimeError:  # raised by the bindings, for False
            return False

    def _all_shapes(self, context: Any, text: str) -> bool:
        return context.all_binding_shapes_specified

    def _set_input_shape(self, context: Any, text: str, *shape: int) -> bool:
        return context.set_input_shape(text, shape)

    def _tensor_shape(self, context: Any, text: str) -> tuple[int, ...]:
        return tuple(context.get_tensor_shape(text))

    def _set_tensor_address(self, context: Any, text: str, address: int) -> bool:
        return context.set_tensor_address(text, address)

    def _tensor_address(self, context: Any, text: str) -> int:
        return context.get_tensor_address(text)

    def _infer_shapes(self, context: Any, text: str) -> int:
        return len(context.infer_shapes())

    def _missing_shape(self, context: Any, text: str, index: int) -> int:
        return self._keep_text(context.infer_shapes()[index])

    def _execute(self, context: Any, text: str, stream: int) -> bool:
        return context.execute_async_v3(stream)

    def _set_device_memory(self, context: Any, text: str, address: int, size: int) -> None:
        context.set_device_memory(address, size)

    def _memory_for_shapes(self, context: Any, text: str) -> int:
        return context.update_device_memory_size_for_shapes()

    def _set_profiler(self, context: Any, text: str, profiler: int) -> None:
        send = self._c.double_report

        class Profiler(IProfiler):
            def report_layer_time(self, layer_name: str, ms: float) -> None:
                send(profiler, layer_name.encode(), ms)

        context.profiler = Profiler() if profiler else None

    def _emits_profile(self, context: Any, text: str) -> bool:
        return context.enqueue_emits_profile

    def _set_emits_profile(self, context: Any, text: str, emits: int) -> None:
        context.enqueue_emits_profile = bool(emits)

    def _report_to_profiler(self, context: Any, text: str) -> bool:
        return context.report_to_profiler()

    def _is_capturable(self, context: Any, text: str, stream: int) -> bool:
        return True

"""TensorRT's Python package, with every result checked.

TensorRT answers False or None where it refuses, and says why in its log. Here that becomes an error with these words.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from .errors import EngineError
from .plan import check_plan

PACKAGES = ("tensorrt", "tensorrt_rtx")
"""Packages that run engines; the first one that is installed is taken, unless an engine says which."""
_LOG = logging.getLogger("spair.tensorrt")


def find_packages() -> tuple[str, ...]:
    """List the installed ones of `PACKAGES`."""
    return tuple(name for name in PACKAGES if importlib.util.find_spec(name) is not None)


@dataclass(frozen=True)
class Tensor:
    """Input or output of an engine."""

    name: str
    dtype: np.dtype
    is_input: bool
    largest: tuple[int, ...]
    """Largest shape that an input may have; empty for an output."""


class TensorRT:
    """One of the packages, with a log that remembers errors."""

    def __init__(self, package: str) -> None:
        """Import a package.

        Raises:
            UserError: it cannot be imported; the message says why.
        """
        try:
            self._module = importlib.import_module(package)
        except ImportError as error:
            raise UserError(f"cannot import {package}: {error}; `spair doctor` says what is missing") from error
        self.package = package
        """Name of the package."""
        self.version = str(self._module.__version__)
        """Its version."""
        self._log = _make_log(self._module)

    def open_runtime(self, library: Path | None) -> EngineRuntime:
        """Open a runtime with a registry of its own.

        Libraries of several bundles do not meet, since each is loaded into its runtime's own registry.

        Args:
            library: plugin library for the engines of the runtime; None for engines without plugins.

        Raises:
            EngineError: the library does not load.
        """
        runtime = self._module.Runtime(self._log)
        runtime.engine_host_code_allowed = False
        if library is not None and runtime.get_plugin_registry().load_library(str(library)) is None:
            raise EngineError(
                f"TensorRT {self.version} does not load the plugin library {library}: {self.last_words()}"
            )
        return EngineRuntime(self, self._module, runtime)

    def last_words(self) -> str:
        """Return the last error of the log."""
        return self._log.errors[-1] if self._log.errors else "its log does not say why"


class EngineRuntime:
    """Runtime of TensorRT, which loads engines."""

    def __init__(self, package: TensorRT, module: Any, runtime: Any) -> None:
        self._package, self._module, self._runtime = package, module, runtime

    def load_engine(self, plan: bytes, where: str) -> LoadedEngine:
        """Load an engine; the CUDA context must be current.

        Args:
            plan: the file's content.
            where: path of the file, for messages.

        Raises:
            UserError: it is no engine, or one of another version.
            EngineError: TensorRT refuses it.
        """
        check_plan(plan, where, self._package.package, self._package.version)
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise EngineError(f"TensorRT does not load {where}: {self._package.last_words()}")
        return LoadedEngine(self._package, self._module, engine, where)


class LoadedEngine:
    """Engine that makes contexts."""

    def __init__(self, package: TensorRT, module: Any, engine: Any, where: str) -> None:
        self._package, self._module, self._engine = package, module, engine
        self.where = where
        """Path of the engine's file."""
        self.tensors = tuple(self._describe(engine.get_tensor_name(index)) for index in range(engine.num_io_tensors))
        """Inputs and outputs."""
        self.scratch_size = int(engine.device_memory_size_v2)
        """Bytes of working memory that a context needs for the largest shapes."""
        self.detailed = bool(engine.profiling_verbosity == module.ProfilingVerbosity.DETAILED)
        """Whether the engine tells more of a layer than its name."""

    def make_context(self) -> ExecutionContext:
        """Make an execution context without working memory of its own.

        Raises:
            EngineError: TensorRT refuses.
        """
        strategy = self._module.ExecutionContextAllocationStrategy.USER_MANAGED
        context = self._engine.create_execution_context(strategy)
        if context is None:
            raise EngineError(f"TensorRT makes no execution context for {self.where}: {self._package.last_words()}")
        return ExecutionContext(self._package, context, self.where)

    def make_profiler(self, receive: Callable[[str, float], None]) -> Any:
        """Make a profiler for `ExecutionContext.set_profiler`.

        Args:
            receive: called with a layer's name and milliseconds.
        """
        module: Any = self._module

        class Profiler(module.IProfiler):
            """Profiler that passes the times on."""

            def __init__(self) -> None:
                module.IProfiler.__init__(self)

            def report_layer_time(self, layer_name: str, ms: float) -> None:
                receive(layer_name, ms)

        return Profiler()

    def describe_layers(self, context: ExecutionContext | None = None) -> str:
        """Return TensorRT's own JSON about the layers.

        Args:
            context: context whose shapes are told; without it sizes that change are -1.
        """
        inspector = self._engine.create_engine_inspector()
        if context is not None:
            context.inform(inspector)
        return str(inspector.get_engine_information(self._module.LayerInformationFormat.JSON))

    def _describe(self, name: str) -> Tensor:
        engine, module = self._engine, self._module
        is_input = engine.get_tensor_mode(name).name == "INPUT"
        largest = tuple(engine.get_tensor_profile_shape(name, 0)[2]) if is_input else ()
        return Tensor(name, np.dtype(module.nptype(engine.get_tensor_dtype(name))), is_input, largest)


class ExecutionContext:
    """Execution context, which one thread may use at a time."""

    def __init__(self, package: TensorRT, context: Any, where: str) -> None:
        self._package, self._context, self._where = package, context, where
        self._profiler: Any = None

    def set_shape(self, name: str, shape: Sequence[int]) -> None:
        """Set the shape of an input.

        Raises:
            EngineError: the engine was not built for it.
        """
        if not self._context.set_input_shape(name, tuple(shape)):
            raise EngineError(f"{self._where} takes no {name} of shape {tuple(shape)}: {self._package.last_words()}")

    def read_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor.

        The shapes of all inputs must be set.
        """
        return tuple(self._context.get_tensor_shape(name))

    def set_address(self, name: str, address: int) -> None:
        """Set the address of a tensor on the GPU.

        Raises:
            EngineError: TensorRT refuses.
        """
        if not self._context.set_tensor_address(name, address):
            raise EngineError(f"{self._where} takes no address for {name}: {self._package.last_words()}")

    def measure_scratch(self) -> int:
        """Return the bytes of working memory for these shapes."""
        return int(self._context.update_device_memory_size_for_shapes())

    def set_scratch(self, address: int, size: int) -> None:
        """Set the working memory."""
        self._context.set_device_memory(address, size)

    def enqueue(self, stream: int) -> None:
        """Queue one inference on a CUDA stream.

        Raises:
            EngineError: TensorRT refuses.
        """
        if not self._context.execute_async_v3(stream):
            raise EngineError(f"{self._where} does not run: {self._package.last_words()}")

    def set_profiler(self, profiler: Any) -> None:
        """Let TensorRT report the time of each layer.

        Every run then waits for its end.
        """
        self._profiler = profiler  # TensorRT does not keep it alive
        self._context.profiler = profiler

    def inform(self, inspector: Any) -> None:
        """Tell an inspector the shapes that are set."""
        inspector.execution_context = self._context


def _make_log(module: Any) -> Any:
    severity = module.ILogger.Severity
    errors = (severity.ERROR, severity.INTERNAL_ERROR)

    class Log(module.ILogger):
        """Log that remembers errors and passes warnings on."""

        def __init__(self) -> None:
            module.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=20)

        def log(self, severity_: Any, message: str) -> None:
            if severity_ in errors:
                self.errors.append(" ".join(message.split()))
                _LOG.error("%s", message)
            elif severity_ == severity.WARNING:
                _LOG.warning("%s", message)

    return Log()

"""Double of the Python package `tensorrt`.

Names, arguments and results are TensorRT's, False and None included: what TensorRT refuses is refused here, with a
message in the logger. What TensorRT does not notice, and what is then undefined, is reported to the GPU's list of
problems. Executions are work on a stream: ONNX Runtime computes them when their turn comes.
"""

from __future__ import annotations

import importlib.machinery
import types
from typing import Any

from tests.emulated.double.context import IExecutionContext
from tests.emulated.double.engine import EngineInspector, ICudaEngine
from tests.emulated.double.kinds import (
    DataType,
    Dims,
    ExecutionContextAllocationStrategy,
    LayerInformationFormat,
    ProfilingVerbosity,
    TensorIOMode,
    TensorLocation,
    nptype,
)
from tests.emulated.double.listeners import ILogger, IProfiler, Logger
from tests.emulated.double.runtime import IPluginRegistry, Runtime
from tests.emulated.double.world import World
from tests.emulated.driver.gpu import EmulatedGPU

EXPORTED = (
    DataType, TensorIOMode, TensorLocation, ExecutionContextAllocationStrategy, LayerInformationFormat,
    ProfilingVerbosity, Dims, ILogger, Logger, IProfiler, IPluginRegistry, Runtime, ICudaEngine, EngineInspector,
    IExecutionContext,
)  # fmt: skip
TYPES = {"float32": "FLOAT", "float16": "HALF", "int8": "INT8", "uint8": "UINT8", "int32": "INT32", "int64": "INT64"}


def make_module(gpu: EmulatedGPU, version: str, **options: Any) -> types.ModuleType:
    """Return the package, for `sys.modules["tensorrt"]`.

    Args:
        gpu: what it runs on.
        version: the version of TensorRT that it says to be.
        options: other fields of `World`.
    """
    module = types.ModuleType("tensorrt")
    module.__spec__ = importlib.machinery.ModuleSpec("tensorrt", None)
    for exported in EXPORTED:
        setattr(module, exported.__name__, exported)
    for name, kind in TYPES.items():
        setattr(module, name, DataType[kind])
    world = World(gpu, version, **options)
    module.Runtime = type("Runtime", (Runtime,), {"_world": world})  # type: ignore[attr-defined]
    module.nptype, module.__version__ = nptype, version  # type: ignore[attr-defined]
    return module

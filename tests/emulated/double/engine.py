"""Engine, its tensors, and its inspector."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from tests.emulated.double.context import IExecutionContext
from tests.emulated.double.execution import Executor, RefusalError
from tests.emulated.double.kinds import (
    Dims,
    ExecutionContextAllocationStrategy,
    LayerInformationFormat,
    ProfilingVerbosity,
    TensorIOMode,
    TensorLocation,
    find_type,
)
from tests.emulated.double.plan import Plan

if TYPE_CHECKING:
    from tests.emulated.double.runtime import Runtime


class Tensor:
    """Input or output of a graph."""

    def __init__(self, value: onnx.ValueInfoProto, mode: TensorIOMode) -> None:
        tensor = value.type.tensor_type
        self.dtype = find_type(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)))
        self.axes = [axis.dim_param or axis.dim_value or -1 for axis in tensor.shape.dim]
        self.mode = mode

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return its shape, given sizes by names of axes.

        Sizes that are not known are -1.
        """
        return tuple(sizes.get(axis, -1) if isinstance(axis, str) else axis for axis in self.axes)


class ICudaEngine:
    """Engine of a plan that was taken."""

    def __init__(self, runtime: Runtime, plan: Plan, executor: Executor, handles: Sequence[Any], context: int) -> None:
        self._runtime, self._plan, self._executor, self._handles, self._cuda = runtime, plan, executor, handles, context
        made = {part.name for part in plan.graph.graph.initializer}
        self._inputs = {v.name: Tensor(v, TensorIOMode.INPUT) for v in plan.graph.graph.input if v.name not in made}
        self._outputs = {v.name: Tensor(v, TensorIOMode.OUTPUT) for v in plan.graph.graph.output}
        self._tensors = self._inputs | self._outputs
        self._layers = list(plan.graph.graph.node)
        runtime._world.engines.add(self)
        self.num_io_tensors, self.num_layers = len(self._tensors), len(self._layers)
        self.num_optimization_profiles, self.name = len(plan.profiles), "Unnamed Network 0"
        self.profiling_verbosity = ProfilingVerbosity.DETAILED if plan.detailed else ProfilingVerbosity.LAYER_NAMES_ONLY

    @property
    def device_memory_size_v2(self) -> int:
        """Bytes of scratch memory for the largest shapes."""
        return max(self._largest_scratch(index) for index in range(self.num_optimization_profiles))

    def get_device_memory_size_for_profile_v2(self, profile_index: int) -> int:
        """Return the largest scratch memory of a profile in bytes."""
        return self._largest_scratch(profile_index)

    def get_tensor_name(self, index: int) -> str:
        """Return a name; inputs come first."""
        return list(self._tensors)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        """Return whether a tensor is input or output."""
        return self._tensors[name].mode if name in self._tensors else TensorIOMode.NONE

    def get_tensor_dtype(self, name: str) -> Any:
        """Return the type of a tensor's elements."""
        return self._tensors[name].dtype

    def get_tensor_shape(self, name: str) -> Dims:
        """Return a shape.

        Sizes that depend on the context are -1.
        """
        return Dims(size if size >= 0 else -1 for size in self._tensors[name].shape({}))

    def get_tensor_location(self, name: str) -> TensorLocation:
        """Return the device, where all tensors lie here."""
        return TensorLocation.DEVICE

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Dims]:
        """Return least, usual and largest shape of an input.

        Nothing for an output.
        """
        return [Dims(shape) for shape in self._plan.profiles[profile_index].get(name, ())]

    def create_engine_inspector(self) -> EngineInspector:
        """Return an inspector."""
        return EngineInspector(self)

    def create_execution_context(
        self, strategy: ExecutionContextAllocationStrategy = ExecutionContextAllocationStrategy.STATIC
    ) -> IExecutionContext | None:
        """Return a context.

        None, and a message, without memory for it or when a plugin refuses.
        """
        gpu = self._runtime._world.gpu
        if gpu.current_context() != self._cuda:
            gpu.report("an execution context is made while another CUDA context than the engine's is current")
            return None
        try:
            attached = self._executor.attach(gpu)
        except RefusalError as error:
            return self._runtime._refuse(str(error))
        made = IExecutionContext(self, attached, strategy is ExecutionContextAllocationStrategy.USER_MANAGED)
        if strategy is not ExecutionContextAllocationStrategy.USER_MANAGED and not made._scratch.allocate(gpu):
            self._runtime._refuse("Requested amount of GPU memory could not be allocated. There may not be enough")
            return None
        return made

    def __del__(self) -> None:
        cuda = self._runtime._world.gpu.cuda  # the CUDA runtime that TensorRT uses needs no current context
        if cuda.cuCtxPushCurrent_v2(ctypes.c_void_p(self._cuda)) == 0:
            self._executor.close()
            cuda.cuCtxPopCurrent_v2(None)

    def _largest_scratch(self, profile: int) -> int:
        largest = {name: shapes[2] for name, shapes in self._plan.profiles[profile].items()}
        return self._executor.scratch_size(largest)


class EngineInspector:
    """Teller of an engine's layers."""

    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine
        self.execution_context: IExecutionContext | None = None

    def get_layer_information(self, layer_index: int, format: LayerInformationFormat) -> str:
        """Return one layer, as JSON or as a line."""
        node = self._engine._layers[layer_index]
        if format is LayerInformationFormat.ONELINE or not self._engine._plan.detailed:
            return node.name if format is LayerInformationFormat.ONELINE else json.dumps(node.name)
        return json.dumps(self._describe(node))

    def get_engine_information(self, format: LayerInformationFormat) -> str:
        """Return all layers, as JSON or as lines.

        The JSON names the inputs and outputs too.
        """
        layers = [self.get_layer_information(index, format) for index in range(self._engine.num_layers)]
        if format is LayerInformationFormat.ONELINE:
            return "\n".join(layers)
        return json.dumps({"Layers": [json.loads(part) for part in layers], "Bindings": list(self._engine._tensors)})

    def _describe(self, node: onnx.NodeProto) -> dict[str, Any]:
        is_plugin = self._engine._plan.plugins and node.domain == "spair"
        return {
            "Name": node.name,
            "LayerType": "PluginV3" if is_plugin else node.op_type,
            "Inputs": [{"Name": name} for name in node.input if name],
            "Outputs": [{"Name": name} for name in node.output],
            **({"PluginType": node.op_type} if is_plugin else {}),
        }

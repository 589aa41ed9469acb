"""Runner that restores pictures with an engine on the GPU.

An engine runs as launches or as a captured CUDA graph. The runner is written against the API that TensorRT 10.3 to 11.x
and TensorRT-RTX share (named tensors, `execute_async_v3`), and never ran, because no GPU with TensorRT was at hand.
PyTorch owns memory and streams, on the primary context, which TensorRT uses too.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from spair.runtime.errors import UserError

WARM_UP = 3
"""Runs before a capture; the first ones load modules and choose kernels, which a capture does not allow."""


class EngineRunner:
    """Engine with one execution context and one stream.

    Close it, or use it as a context manager.
    """

    def __init__(self, package: str, plan: bytes, library: Path | None) -> None:
        """Load the plugins, then the engine.

        Args:
            package: "tensorrt" or "tensorrt_rtx".
            plan: the serialized engine.
            library: libspair_plugins.so, None for an engine without plugins.

        Raises:
            UserError: the library or the engine does not load here; TensorRT's log says why.
        """
        trt = importlib.import_module(package)
        self._trt, self._log = trt, trt.Logger(trt.Logger.WARNING)
        self._runtime = trt.Runtime(self._log)
        if library is not None and self._runtime.get_plugin_registry().load_library(str(library)) is None:
            raise UserError(f"{package} does not load the plugin library {library}; build it for this GPU")
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise UserError(f"{package} {trt.__version__} does not load the engine; build it on this machine")
        self._context = self._make_context()
        if self._context is None:
            raise UserError(f"{package} makes no context for the engine; its log says why, usually a lack of memory")
        self.stream = torch.cuda.Stream()
        self.outputs: dict[str, torch.Tensor] = {}

    def _make_context(self) -> Any:
        strategy = getattr(self._trt, "DynamicShapesKernelSpecializationStrategy", None)
        if strategy is None:
            return self._engine.create_execution_context()
        # TensorRT-RTX compiles kernels for the shapes at hand, by default in the background while general kernels run.
        # A capture or a timing must not hold the general ones.
        config = self._engine.create_runtime_config()
        config.dynamic_shapes_kernel_specialization_strategy = strategy.EAGER
        return self._engine.create_execution_context(config)

    def __enter__(self) -> EngineRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free context, engine and runtime, in this order."""
        self.stream.synchronize()
        self._context = self._engine = self._runtime = None

    def bind(self, image: torch.Tensor) -> None:
        """Use a picture as input and allocate its outputs.

        The picture is [N,3,H,W] float32 0..1, or [N,H,W,3] uint8 for an engine that takes bytes, on the GPU.
        """
        assert image.is_cuda and image.is_contiguous()
        self._image = image
        if not self._context.set_input_shape("image", tuple(image.shape)):
            raise UserError(f"the engine's profile does not allow pictures of shape {tuple(image.shape)}")
        self._context.set_tensor_address("image", image.data_ptr())
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            if self._engine.get_tensor_mode(name) != self._trt.TensorIOMode.OUTPUT:
                continue
            shape = tuple(self._context.get_tensor_shape(name))
            self.outputs[name] = self._make_output(shape, self._engine.get_tensor_dtype(name), image.device)
            self._context.set_tensor_address(name, self.outputs[name].data_ptr())

    def enqueue(self) -> None:
        """Launch one inference on the stream.

        `stream.synchronize()` waits for it.
        """
        if not self._context.execute_async_v3(self.stream.cuda_stream):
            raise RuntimeError("the engine failed; TensorRT's log says why")

    def run(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run one inference and return copies of the outputs."""
        self.bind(image)
        self.stream.wait_stream(torch.cuda.current_stream())
        self.enqueue()
        self.stream.synchronize()
        return {name: value.clone() for name, value in self.outputs.items()}

    def capture(self) -> torch.cuda.CUDAGraph:
        """Capture an inference on the bound tensors.

        `replay()` repeats it, reading the memory that is bound.
        """
        self.stream.wait_stream(torch.cuda.current_stream())  # that stream may still make the picture
        for _ in range(WARM_UP):
            self.enqueue()
        self.stream.synchronize()
        capturable = getattr(self._context, "is_stream_capturable", None)  # TensorRT-RTX alone
        if capturable is not None and not capturable(self.stream.cuda_stream):
            raise RuntimeError("the engine cannot be captured for these shapes; TensorRT's log says why")
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
            self.enqueue()
        return graph

    def _make_output(self, shape: tuple[int, ...], kind: Any, device: torch.device) -> torch.Tensor:
        """Make an output whose missing values show.

        It is full of NaN, or of 255 for bytes.
        """
        types = {
            self._trt.float32: torch.float32,
            self._trt.float16: torch.float16,
            self._trt.DataType.UINT8: torch.uint8,
        }
        missing = 255 if types[kind] == torch.uint8 else float("nan")
        return torch.full(shape, missing, dtype=types[kind], device=device)

"""Engine as a graph with named inputs and outputs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import numpy as np

from ..arrays import make_native
from .pool import SlotPool
from .slot import Slot, SlotOptions
from .tensorrt import Tensor

_ONNX_TYPES = {"float32": "tensor(float)", "float16": "tensor(float16)", "uint8": "tensor(uint8)"}


class EngineGraph:
    """Graph that an engine computes."""

    def __init__(
        self, tensors: tuple[Tensor, ...], pool: SlotPool, defaults: Mapping[str, np.ndarray] | None = None
    ) -> None:
        """Take over a pool.

        Args:
            tensors: inputs and outputs of the engine.
            pool: its slots.
            defaults: what inputs get that a caller does not give; others than the engine's are passed over.
        """
        self._pool = pool
        self._types = {tensor.name: tensor.dtype for tensor in tensors if tensor.is_input}
        self._defaults = {name: value for name, value in (defaults or {}).items() if name in self._types}
        types = {name: _ONNX_TYPES.get(dtype.name, dtype.name) for name, dtype in self._types.items()}
        self.inputs = {name: kind for name, kind in types.items() if name not in self._defaults}
        """ONNX types of the inputs by name, but for those with a default."""
        self.optional = {name: types[name] for name in self._defaults}
        """ONNX types of the inputs with a default."""
        self.outputs = tuple(tensor.name for tensor in tensors if not tensor.is_input)
        """Names of the outputs."""
        self.largest = {tensor.name: tensor.largest for tensor in tensors if tensor.is_input}
        """Largest shapes of the inputs by name."""

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the engine; threads may call this.

        Args:
            feeds: an array per input, and for those of `optional` that get another value; float arrays are converted to
                the float type of the input.

        Returns:
            An array per output; float16 comes back as float32.

        Raises:
            ValueError: an input is missing or unknown.
            EngineError, MemoryError: see `SlotPool.run`.
        """
        values = self._pool.run(self.convert(feeds))
        return {name: v.astype(np.float32) if v.dtype == np.float16 else v for name, v in values.items()}

    def convert(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Convert arrays to the types of the inputs.

        Raises:
            ValueError: an input is missing or unknown.
        """
        if feeds.keys() - self.optional.keys() != self.inputs.keys():
            raise ValueError(f"the engine takes {sorted(self.inputs)}, got {sorted(feeds)}")
        values = {**self._defaults, **feeds}
        return {name: make_native(value).astype(self._types[name], copy=False) for name, value in values.items()}

    def own_slot(self, options: SlotOptions) -> AbstractContextManager[Slot]:
        """Make a slot for measurements; see `SlotPool.own_slot`."""
        return self._pool.own_slot(options)

    def close(self) -> None:
        """Close the slots and the engine; may be called twice."""
        self._pool.close()


class GraphOnDemand:
    """Graph that is opened when it is first run."""

    def __init__(self, open_graph: Callable[[], EngineGraph]) -> None:
        self._open, self._lock = open_graph, threading.Lock()
        self._graph: EngineGraph | None = None
        self._closed = False

    @property
    def inputs(self) -> Mapping[str, str]:
        """ONNX types of the inputs by name."""
        return self._get().inputs

    @property
    def optional(self) -> Mapping[str, str]:
        """ONNX types of the inputs with a default."""
        return self._get().optional

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return self._get().outputs

    @property
    def largest(self) -> Mapping[str, tuple[int, ...]]:
        """Largest shapes of the inputs by name."""
        return self._get().largest

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the graph."""
        return self._get().run(feeds)

    def convert(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Convert arrays to the types of the inputs."""
        return self._get().convert(feeds)

    def own_slot(self, options: SlotOptions) -> AbstractContextManager[Slot]:
        """Make a slot for measurements; see `SlotPool.own_slot`."""
        return self._get().own_slot(options)

    def _get(self) -> EngineGraph:
        with self._lock:
            if self._closed:
                raise ValueError("the graph was closed")
            if self._graph is None:
                self._graph = self._open()
            return self._graph

    def close(self) -> None:
        """Close the graph; may be called twice."""
        with self._lock:
            graph, self._graph, self._closed = self._graph, None, True
        if graph is not None:
            graph.close()

"""Writing standard ONNX nodes in order, with names of their own and constants stored once."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper


class Emitter:
    """Collects nodes and initializers for a graph that is being rewritten."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def name(self) -> str:
        """A fresh tensor name."""
        return f"{self.prefix}_{len(self.nodes)}_{len(self.initializers)}"

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Append a node; the name of its first output."""
        first = self.name()
        names = [first, *(f"{first}_{i}" for i in range(1, outputs))]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=first, **attributes))
        return first

    def const(self, value: Any, dtype: Any = np.int64) -> str:
        """The name of a constant; equal constants share one."""
        array = np.ascontiguousarray(np.asarray(value, dtype))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = f"{self.prefix}_constant_{len(self.initializers)}"
            self.initializers.append(numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]

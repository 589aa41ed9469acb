"""Writing standard ONNX nodes in order, with names of their own and constants stored once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper


class Emitter:
    """Collects nodes and initializers for a graph that is being rewritten."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        """Where nodes are appended: the graph's, or a body's while it is built."""
        self._graph_nodes = self.nodes
        self.initializers: list[onnx.TensorProto] = []
        self._named = 0
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def name(self) -> str:
        """A fresh tensor name."""
        self._named += 1
        return f"{self.prefix}_{self._named}"

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append a node; the name of its only output."""
        return self.ops(kind, *inputs, outputs=1, **attributes)[0]

    def ops(self, kind: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """Append a node with several outputs; their names."""
        names = [self.name() for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=names[0], **attributes))
        return names

    def const(self, value: Any, dtype: Any = np.int64) -> str:
        """The name of a constant; equal constants share one."""
        array = np.asarray(value, dtype, order="C")
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = f"{self.prefix}_constant_{len(self.initializers)}"
            self.initializers.append(numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]

    @contextlib.contextmanager
    def outermost(self) -> Iterator[None]:
        """Append to the graph itself, whatever body is being built: what is shared must not hide inside one."""
        inner, self.nodes = self.nodes, self._graph_nodes
        try:
            yield
        finally:
            self.nodes = inner

    def scan(self, inputs: Sequence[tuple[str, int, int]], build: Callable[..., str], rank: int = 2) -> str:
        """Run a piece of graph once per slice of the first axis, and stack what it gives.

        Args:
            inputs: (name, ONNX element type, rank of a slice) of every sliced tensor; all have the same first axis.
            build: given the slices' names, emits the piece and returns its float32 result; it may read any tensor
                emitted so far.
            rank: of that result.

        Returns:
            [slices, *result].
        """
        slices = [self.name() for _ in inputs]
        values = [
            helper.make_tensor_value_info(name, kind, [None] * dims)
            for name, (_, kind, dims) in zip(slices, inputs, strict=True)
        ]
        body = self._body(lambda: build(*slices), values, rank)
        return self.op("Scan", *(name for name, _, _ in inputs), body=body, num_scan_inputs=len(inputs))

    def choose(self, condition: str, then: Callable[[], str], otherwise: Callable[[], str], rank: int = 2) -> str:
        """Run one of two pieces of graph, by a bool []; both give a float32 result of that rank."""
        branches = {"then_branch": self._body(then, [], rank), "else_branch": self._body(otherwise, [], rank)}
        return self.op("If", condition, **branches)

    def _body(self, build: Callable[[], str], inputs: list[onnx.ValueInfoProto], rank: int) -> onnx.GraphProto:
        outer, self.nodes = self.nodes, []
        try:
            result = build()
            output = helper.make_tensor_value_info(result, onnx.TensorProto.FLOAT, [None] * rank)
            return helper.make_graph(self.nodes, f"{result}_body", inputs, [output])
        finally:
            self.nodes = outer

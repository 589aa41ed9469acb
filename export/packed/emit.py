"""Emitter of standard ONNX nodes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper


class Emitter:
    """Collector of nodes and constants for a rewritten graph.

    Nodes stand in the order of the calls, every tensor gets a name of its own, and equal constants are stored once.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        """List that nodes are appended to: the graph's, or a body's while the body is built."""
        self._graph_nodes = self.nodes
        self.initializers: list[onnx.TensorProto] = []
        """List of the graph's constants."""
        self.stored = self.initializers
        """List of the constants of the graph or body that `nodes` belongs to."""
        self._named = 0
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def name(self) -> str:
        """Return a new tensor name."""
        self._named += 1
        return f"{self.prefix}_{self._named}"

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append a node with one output; return its name."""
        return self.ops(kind, *inputs, outputs=1, **attributes)[0]

    def ops(self, kind: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """Append a node with several outputs and return their names."""
        names = [self.name() for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=names[0], **attributes))
        return names

    def const(self, value: Any, dtype: Any = np.int64) -> str:
        """Return the name of a constant; equal constants share one."""
        array = np.asarray(value, dtype, order="C")
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = f"{self.prefix}_constant_{len(self.initializers)}"
            self.initializers.append(numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]

    @contextlib.contextmanager
    def outermost(self) -> Iterator[None]:
        """Append to the graph itself while a body is built.

        Tensors that several bodies share must not be made inside one of them.
        """
        inner, self.nodes = self.nodes, self._graph_nodes
        try:
            yield
        finally:
            self.nodes = inner

    def scan(self, inputs: Sequence[tuple[str, int, int]], build: Callable[..., str], rank: int = 2) -> str:
        """Emit a loop over slices of the first axis.

        Args:
            inputs: (name, ONNX element type, rank of a slice) of every sliced tensor; all have the same first axis.
            build: emits the loop's body from the slices' names, and returns the name of its float32 result. It may read
                every tensor emitted so far.
            rank: number of axes of that result.

        Returns:
            [slices, *result], the results of all slices.
        """
        return self.scan_all(inputs, lambda *slices: [build(*slices)], [rank])[0]

    def scan_all(
        self, inputs: Sequence[tuple[str, int, int]], build: Callable[..., Sequence[str]], ranks: Sequence[int]
    ) -> list[str]:
        """Emit a loop over slices with several results.

        `ranks` has the number of axes of each result; see `scan` for the rest.
        """
        slices = [self.name() for _ in inputs]
        values = [
            helper.make_tensor_value_info(name, kind, [None] * dims)
            for name, (_, kind, dims) in zip(slices, inputs, strict=True)
        ]
        body = self._body(lambda: build(*slices), values, ranks)
        names = (name for name, _, _ in inputs)
        return self.ops("Scan", *names, outputs=len(ranks), body=body, num_scan_inputs=len(inputs))

    def choose(self, condition: str, then: Callable[[], str], otherwise: Callable[[], str], rank: int = 2) -> str:
        """Emit a choice between two pieces of graph.

        `condition` is a bool []. Both pieces give a float32 result with `rank` axes.
        """
        return self.choose_all(condition, lambda: [then()], lambda: [otherwise()], [rank])[0]

    def choose_all(
        self,
        condition: str,
        then: Callable[[], Sequence[str]],
        otherwise: Callable[[], Sequence[str]],
        ranks: Sequence[int],
    ) -> list[str]:
        """Emit a choice between pieces with several results.

        Both pieces make the results that they return. `ranks` has the number of axes of each; see `choose`.
        """
        branches = {"then_branch": self._body(then, [], ranks), "else_branch": self._body(otherwise, [], ranks)}
        return self.ops("If", condition, outputs=len(ranks), **branches)

    def _body(
        self, build: Callable[[], Sequence[str]], inputs: list[onnx.ValueInfoProto], ranks: Sequence[int]
    ) -> onnx.GraphProto:
        outer = (self.nodes, self.stored)
        self.nodes, self.stored = [], []
        try:
            results = build()
            outputs = [
                helper.make_tensor_value_info(result, onnx.TensorProto.FLOAT, [None] * rank)
                for result, rank in zip(results, ranks, strict=True)
            ]
            return helper.make_graph(self.nodes, f"{results[0]}_body", inputs, outputs, self.stored)
        finally:
            self.nodes, self.stored = outer

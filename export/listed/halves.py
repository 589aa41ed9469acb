"""Pass that lets modulation and attention take and give halves."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import TensorProto

from ..operators.bodies import renew_function_bodies
from ..operators.table import Operator
from ..passes.base import GraphPass, PassResult
from ..passes.graph import (
    attribute_of,
    drop_unused,
    element_types,
    make_cast,
    makers_of,
    operator_of,
    output_names,
    readers_of,
    replace_nodes,
)


class TakeHalves(GraphPass[PassResult]):
    """Pass that removes the casts around operators of full precision.

    Calibration keeps modulation and attention in FP32, because their sums overflow in FP16, and casts each of their
    inputs and outputs. The plugins sum in FP32 for FP16 inputs as well. So where every input was cast from a half and
    every reader casts the output to a half, the operator takes and gives the halves, and no cast reads or writes a
    whole tensor. A mask that was made of truth values is cast from them to a half.

    Requires: any graph.
    Ensures: modulation gives the same halves. In attention the plugin rounds the weights of keys to halves.
    """

    def rewrite(self, model: onnx.ModelProto) -> PassResult:
        """Move the operators between the casts to halves."""
        graph = model.graph
        found = _Casts(model)
        kept: list[onnx.NodeProto] = []
        gone: set[str] = set()
        for node in graph.node:
            operator = operator_of(node)
            if operator is not None and operator.full_precision:
                sources, target = found.find_sources(node, operator), found.find_target(node)
                if sources is not None and target is not None:
                    kept += _take_halves(node, sources, target)
                    gone.add(target)
                    continue
            if node.op_type != "Cast" or node.output[0] not in gone:
                kept.append(node)
        if gone:
            replace_nodes(graph, [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept])
            drop_unused(graph)
            renew_function_bodies(model)
        return PassResult(bool(gone))


class _Casts:
    """Casts of a graph's tensors."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._makers, self._readers = makers_of(model.graph), readers_of(model.graph)
        self._types, self._outputs = element_types(model), output_names(model.graph)

    def find_sources(self, node: onnx.NodeProto, operator: Operator) -> Mapping[str, int] | None:
        """Find the tensors before a node's casts, with their types.

        None says that one of them was no half before, or, as a mask, no truth value.
        """
        sources = {}
        masks = operator.positions_of("mask")
        for place, name in enumerate(node.input):
            maker = self._makers.get(name)
            if maker is None or maker.op_type != "Cast" or self._types.get(name) != TensorProto.FLOAT:
                return None
            kind = self._types.get(maker.input[0], TensorProto.UNDEFINED)
            if kind != TensorProto.FLOAT16 and not (kind == TensorProto.BOOL and place in masks):
                return None
            sources[maker.input[0]] = kind
        return sources if len(sources) == len(node.input) else None

    def find_target(self, node: onnx.NodeProto) -> str | None:
        """Return the half behind a node's only reader, a cast."""
        readers = self._readers.get(node.output[0], [])
        if len(readers) != 1 or node.output[0] in self._outputs:
            return None
        (reader,) = readers
        return reader.output[0] if attribute_of(reader, "to") == TensorProto.FLOAT16 else None


def _take_halves(node: onnx.NodeProto, sources: Mapping[str, int], target: str) -> list[onnx.NodeProto]:
    """Let a node take halves and give `target`."""
    made, halves = [], []
    for source, kind in sources.items():
        half = source
        if kind == TensorProto.BOOL:
            half = f"{target}_{source}"
            made.append(make_cast(source, half, TensorProto.FLOAT16))
        halves.append(half)
    node.input[:] = halves
    node.output[0] = target
    return [*made, node]

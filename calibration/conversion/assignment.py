"""Assignment of halves or float32 to nodes.

Layers follow the plan. The other nodes get the type with which the graph casts and moves the fewest bytes.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import onnx
from onnx import TensorProto

from ...export.operators.table import OPERATORS
from ...export.passes.graph import bodies_of, element_types, names_read_inside
from ...runtime.backends.package import load_part
from .layers import element_counts, layer_name, weight_of
from .plan import PrecisionPlan

FULL, HALF = 32, 16
"""Bits of the type in which a node computes."""
STATISTICS = frozenset(
    {operator.name for operator in OPERATORS if operator.full_precision}
    | {"Softmax", "LogSoftmax", "InstanceNormalization", "LayerNormalization"}
    | {"GroupNormalization", "GlobalAveragePool", "BatchNormalization", "Exp", "Log", "Pow"}
    | {"ReduceSum", "ReduceMean", "ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceProd"}
)
"""Operators with long sums or exponentials; a half overflows at 65,504 and loses addends 2,048 times smaller."""
DECISIONS = frozenset({"Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal"})
"""Operators that compare with a threshold; rounding to a half would change the threshold."""
TYPED = frozenset({"Constant", "ConstantOfShape", "Range", "RandomNormal", "RandomUniform", "EyeLike"})
"""Operators whose attributes state the type of the result."""
_CONVERTER = "transformers.float16"
"""Module of ONNX Runtime that converts graphs to halves."""
_PER_CAST, _PER_FULL, _PER_HALF = 6, 4, 2
"""Bytes per element of a cast, which reads one type and writes the other, and of a tensor in each type."""


def stays_float(node: onnx.NodeProto, position: int) -> bool:
    """Return whether an input must be float32 in every precision.

    The scales of Resize are such an input.

    Args:
        node: the node.
        position: place of the input among the inputs of the node.
    """
    return position in load_part(_CONVERTER).ALWAYS_FLOAT_INPUTS.get(node.op_type, ())


@functools.cache
def list_always_full() -> frozenset[str]:
    """Return the operators that stay FP32.

    The list of ONNX Runtime's own converter is among them.
    """
    return STATISTICS | DECISIONS | TYPED | frozenset(load_part(_CONVERTER).DEFAULT_OP_BLOCK_LIST)


@dataclasses.dataclass(frozen=True)
class NodeKinds:
    """Types in which nodes compute."""

    nodes: Mapping[int, int]
    """FULL or HALF for the position of each node with float inputs or outputs."""
    tensors: Mapping[str, int]
    """FULL or HALF for each float tensor that a node makes or the caller gives."""
    casts: int
    """Number of casts that these types need."""
    cast_bytes: int
    """Bytes that the casts read and write on one picture of 64x64."""


class Assignment:
    """Search of a type for each node of a graph.

    Nodes with weights have a fixed type. The others are free to follow their neighbours.
    """

    def __init__(self, model: onnx.ModelProto, plan: PrecisionPlan, full: frozenset[str] = frozenset()) -> None:
        self._graph = model.graph
        types = element_types(model)
        self._sizes = element_counts(model)
        self.floats = {name for name, kind in types.items() if kind == TensorProto.FLOAT}
        self._stored = {tensor.name for tensor in model.graph.initializer}
        self._inputs = {value.name for value in model.graph.input}
        self._shown = {value.name for value in model.graph.output}
        self._makers = {name: index for index, node in enumerate(self._graph.node) for name in node.output}
        self._reads = {index: self._float_inputs(node) for index, node in enumerate(self._graph.node)}
        self._readers: dict[str, list[int]] = {}
        for index, names in self._reads.items():
            for name in names:
                self._readers.setdefault(name, []).append(index)
        self._fixed = self._fix(plan, full)

    def _float_inputs(self, node: onnx.NodeProto) -> list[str]:
        """List the float tensors that a node reads, each once.

        Initializers are left out.
        """
        names = [name for place, name in enumerate(node.input) if name in self.floats and not stays_float(node, place)]
        return list(dict.fromkeys(name for name in names if name not in self._stored))

    def _float_outputs(self, index: int) -> list[str]:
        return [name for name in self._graph.node[index].output if name in self.floats]

    def _fix(self, plan: PrecisionPlan, full: frozenset[str]) -> dict[int, int]:
        inside = {name for node in self._graph.node for name in names_read_inside(node)}
        bypass = self._bypass()
        mixed = plan.rest != "fp32" or any(kind == "fp16" for kind in plan.layers.values())
        fixed = {}
        for index, node in enumerate(self._graph.node):
            layer = self._layer(node)
            touched = full & {*node.input, *node.output} or inside & set(node.output)
            if touched or not mixed or index in bypass or node.op_type in list_always_full() or bodies_of(node):
                fixed[index] = FULL
            elif layer is not None:
                kind = plan.of(layer)
                fixed[index] = FULL if "fp32" in (kind, plan.rest if kind == "int8" else kind) else HALF
        return fixed

    def _layer(self, node: onnx.NodeProto) -> str | None:
        weight = weight_of(node, dict.fromkeys(self._stored))
        return None if weight is None else layer_name(weight)

    def _bypass(self) -> set[int]:
        """Find nodes that connect inputs and outputs without layers.

        The picture itself passes through them, so they must not round it.
        """
        nodes = self._graph.node
        plain = [index for index, node in enumerate(nodes) if self._layer(node) is None]
        ahead, behind = set(self._inputs), set(self._shown)
        from_input = set()
        for index in plain:
            if ahead & set(self._reads[index]):
                from_input.add(index)
                ahead |= set(nodes[index].output)
        to_output = set()
        for index in reversed(plain):
            if behind & set(nodes[index].output):
                to_output.add(index)
                behind |= set(self._reads[index])
        return from_input & to_output

    def solve(self) -> NodeKinds:
        """Search the types that cast and move the fewest bytes.

        The search descends from two starts, all free nodes in halves and all free nodes in float32, and takes the
        cheaper end. A descent flips the type of one free node, or of an island, which is a group of connected free
        nodes of one type. It ends when no flip makes the graph cheaper.

        A minimum cut gives the real least cost. On the graphs of the shipped network, the search finds it exactly with
        up to 30 % of the layers in the other type, and comes within 1 % of it in random mixtures of more layers.
        """
        free = [i for i in self._reads if i not in self._fixed and (self._reads[i] or self._float_outputs(i))]
        answers = []
        for start in (HALF, FULL):
            kinds = {**self._fixed, **dict.fromkeys(free, start)}
            flips = 1
            while flips:
                flips = sum([self._improve([index], kinds) for index in free])
                flips += sum([self._improve(island, kinds) for island in self._islands(free, kinds)])
            answers.append((self._total(kinds), kinds))
        best = min(answers, key=lambda answer: answer[0])[1]
        tensors = {name: best[index] for name, index in self._makers.items() if name in self.floats and index in best}
        tensors |= dict.fromkeys(self._inputs & self.floats, FULL)
        casts = [cost for name in self._boundaries(tensors) if (cost := self._cast_cost(name, best))]
        return NodeKinds(best, tensors, len(casts), sum(casts))

    def _boundaries(self, tensors: Mapping[str, int]) -> Sequence[str]:
        return [name for name in tensors if name in self._readers or name in self._shown]

    def _kind_of(self, name: str, kinds: Mapping[int, int]) -> int:
        return kinds.get(self._makers.get(name, -1), FULL)

    def _cast_cost(self, name: str, kinds: Mapping[int, int]) -> int:
        made = self._kind_of(name, kinds)
        wanted = {kinds.get(index, FULL) for index in self._readers.get(name, ())}
        if name in self._shown:
            wanted.add(FULL)
        return _PER_CAST * self._sizes.get(name, 1) if wanted - {made} else 0

    def _node_cost(self, index: int, kinds: Mapping[int, int]) -> int:
        each = _PER_HALF if kinds[index] == HALF else _PER_FULL
        return each * sum(self._sizes.get(name, 1) for name in (*self._reads[index], *self._float_outputs(index)))

    def _improve(self, group: Sequence[int], kinds: dict[int, int]) -> bool:
        """Flip nodes of one type together if that costs less."""
        around = {name for index in group for name in (*self._reads[index], *self._float_outputs(index))}
        old = kinds[group[0]]

        def cost(kind: int) -> int:
            kinds.update(dict.fromkeys(group, kind))
            nodes = sum(self._node_cost(index, kinds) for index in group)
            return nodes + sum(self._cast_cost(name, kinds) for name in around)

        if cost(FULL if old == HALF else HALF) < cost(old):
            kinds.update(dict.fromkeys(group, FULL if old == HALF else HALF))
            return True
        return False

    def _islands(self, free: Sequence[int], kinds: Mapping[int, int]) -> list[list[int]]:
        """Group connected free nodes of one type.

        Nodes are connected if they make or read the same tensor.
        """
        left, islands = dict.fromkeys(free), []
        while left:
            island = [next(iter(left))]
            del left[island[0]]
            for index in island:  # the list grows during the loop
                for name in (*self._reads[index], *self._float_outputs(index)):
                    for other in (self._makers.get(name, -1), *self._readers.get(name, ())):
                        if other in left and kinds[other] == kinds[index]:
                            del left[other]
                            island.append(other)
            islands.append(island)
        return islands

    def _total(self, kinds: Mapping[int, int]) -> int:
        names = [*self._inputs, *self._makers]
        casts = sum(self._cast_cost(name, kinds) for name in names if name in self.floats)
        return casts + sum(self._node_cost(index, kinds) for index in kinds if index in self._reads)

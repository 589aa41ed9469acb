"""Pixels that the outputs of a graph depend on.

Every value of a feature map depends on a window of the picture. The window is followed through the nodes of the graph:
convolutions and pools widen it, and upsampling shifts it. Where a node is not known, its output is left out, so what
is found is a lower bound, and it is exact for graphs of known nodes alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from .facts import ArrayType, GraphFacts, Node

_WINDOWS = frozenset({"Conv", "SparseConv2d", "MaxPool", "AveragePool"})
_POINTWISE = frozenset(
    {"Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Exp", "Abs", "Neg", "Min", "Max", "Relu", "LeakyRelu", "PRelu", "Clip"}
    | {"Sigmoid", "Tanh", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "And", "Or", "Not", "Where"}
    | {"Cast", "Identity", "QuantizeLinear", "DequantizeLinear", "SparseNonLocal"}
)
"""Operators whose output at a place depends on maps at this place alone; for attention, the keys are no such map."""
_CHANNELWISE = frozenset({"Concat", "Slice", "Split"})
_CHANNELS = 1
"""Axis of the channels."""


@dataclass(frozen=True)
class Reach:
    """Window of the picture that a map's value depends on.

    It is the same along both axes.
    """

    stride: int
    """Pixels between neighbouring values of the map; value i lies at pixel `i * stride`."""
    low: int = 0
    """First pixel of the window, relative to the value's."""
    high: int = 0
    """Last pixel of the window, relative to the value's."""

    @property
    def radius(self) -> int:
        """Pixels to see around an area of values."""
        return max(-self.low, self.high - (self.stride - 1), 0)

    def joined(self, other: Reach) -> Reach:
        """Return the window of a value of two maps."""
        return Reach(self.stride, min(self.low, other.low), max(self.high, other.high))


def find_reach(graph: GraphFacts, maps: Mapping[str, int]) -> dict[str, Reach]:
    """Find the window of every map of a graph.

    Args:
        graph: the graph.
        maps: inputs that are maps of the picture -> their strides in pixels.

    Returns:
        Windows by name of a value; values without a known window are left out.
    """
    found = {name: Reach(stride) for name, stride in maps.items()}
    constants = dict(graph.constants)
    for node in graph.nodes:
        if node.operator in ("DequantizeLinear", "Cast") and node.inputs[:1] and node.inputs[0] in constants:
            constants |= dict.fromkeys(node.outputs, constants[node.inputs[0]])  # a weight in another type
        inputs = [found[name] for name in node.inputs if name in found]
        if not inputs or len({reach.stride for reach in inputs}) > 1:
            continue
        joined = inputs[0]
        for reach in inputs[1:]:
            joined = joined.joined(reach)
        reached = _follow(node, joined, constants)
        if reached is not None:
            found |= dict.fromkeys(node.outputs, reached)
    return found


def _follow(node: Node, reach: Reach, constants: Mapping[str, ArrayType]) -> Reach | None:
    """Return the window behind a node.

    It is None where it is not known.
    """
    if node.operator in _POINTWISE:
        return reach
    if node.operator in _CHANNELWISE:
        return reach if _axes(node, constants) == (_CHANNELS,) else None
    if node.operator in _WINDOWS:
        return _widen(node, reach, constants)
    factor = _FACTORS[node.operator](node, constants) if node.operator in _FACTORS else 0
    if factor < 1 or reach.stride % factor:
        return None
    stride = reach.stride // factor
    return replace(reach, stride=stride, low=reach.low - (factor - 1) * stride)


def _widen(node: Node, reach: Reach, constants: Mapping[str, ArrayType]) -> Reach | None:
    """Return the window behind a convolution or pool."""
    kernel = _sizes(node, "kernel_shape") or _kernel_of_weight(node, constants)
    if len(kernel) != 2 or node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return None
    strides, dilations = _sizes(node, "strides") or (1, 1), _sizes(node, "dilations") or (1, 1)
    pads = _sizes(node, "pads") or (0, 0, 0, 0)
    if len(strides) != 2 or len(dilations) != 2 or len(pads) != 4 or strides[0] != strides[1] or strides[0] < 1:
        return None
    before = max(pads[:2])
    after = max((k - 1) * d - p for k, d, p in zip(kernel, dilations, pads[:2], strict=True))
    return Reach(strides[0] * reach.stride, reach.low - before * reach.stride, reach.high + after * reach.stride)


def _kernel_of_weight(node: Node, constants: Mapping[str, ArrayType]) -> tuple[int, ...]:
    place = 2 if node.operator == "SparseConv2d" else 1
    weight = constants.get(node.inputs[place]) if len(node.inputs) > place else None
    shape = weight.shape[2:] if weight is not None and weight.shape else ()
    return tuple(size for size in shape if isinstance(size, int))


def _axes(node: Node, constants: Mapping[str, ArrayType]) -> tuple[int, ...]:
    """Return the axes that a node joins or cuts."""
    if node.operator != "Slice":
        axis = node.attributes.get("axis", 0)
        return (axis,) if isinstance(axis, int) else ()
    given = constants.get(node.inputs[3]) if len(node.inputs) > 3 else None
    return () if given is None else tuple(int(value) for value in given.values)


def _double(node: Node, constants: Mapping[str, ArrayType]) -> int:
    """Return the factor of a Resize that repeats values.

    It is 0 for any other Resize.
    """
    modes = ("mode", "coordinate_transformation_mode", "nearest_mode")
    scales = constants.get(node.inputs[2]) if len(node.inputs) > 2 else None
    repeats = [node.attributes.get(mode) for mode in modes] == ["nearest", "asymmetric", "floor"]
    values: Sequence[float] = () if scales is None or not repeats else scales.values
    whole = len(values) == 4 and values[:2] == (1.0, 1.0) and values[2] == values[3] and math.isfinite(values[2])
    return int(values[2]) if whole and values[2] == int(values[2]) else 0


def _unfold(node: Node, constants: Mapping[str, ArrayType]) -> int:
    size = node.attributes.get("blocksize", 0)
    return size if isinstance(size, int) else 0


_FACTORS: Mapping[str, Callable[[Node, Mapping[str, ArrayType]], int]] = {"Resize": _double, "DepthToSpace": _unfold}
"""Operators that make a map larger -> functions that return by how much; 0 where it is not known."""


def _sizes(node: Node, name: str) -> tuple[int, ...]:
    value = node.attributes.get(name, ())
    return value if isinstance(value, tuple) else ()

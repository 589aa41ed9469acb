"""Lean form of dense graphs for ONNX Runtime on processors.

The files of a bundle state every operator as it is defined, for TensorRT's plugins and for other programs. ONNX Runtime
computes them as written, and loses time with two things that another form of the graph does without:

- A sparse convolution masks what it reads and what it writes. Only a kernel that reads across pixels needs the mask;
  elsewhere clean pixels may hold anything, because nothing reads them (see `open_masks`). Net_R of the preset `tiny`
  keeps 13 of its 48 products.
- DepthToSpace runs on one thread and in small steps. A transposed convolution by a kernel of ones and zeros moves
  the same values in blocks and on all threads.

The results of finite maps are equal bit for bit, but for the sign of zeros: each value at a distorted pixel comes from
the same operations on the same values, and 1 * x + 0 * y is x. Clean pixels may now overflow where a mask kept them at
zero, if features are near the largest float32; the network would overflow at distorted pixels beside them, too. Where
a map holds an infinity, a transposed convolution makes the other three pixels of its 2x2 cell NaN.
"""

from __future__ import annotations

import numpy as np

from .facts import FLOAT, FLOAT16, INT64, Attribute, GraphFacts, Node, list_nodes, read_facts
from .open_masks import CONVOLUTION, DOMAIN, OpenMasks, is_shuffle
from .outside import find_outside
from .wire import Value, read_fields
from .writing import replace_graph, write_constant, write_field, write_node

_BODIES = frozenset({"If", "Loop", "Scan", "SequenceMap"})
"""Operators with subgraphs, which may read any tensor."""
_PREFIX = "lean_"
"""First letters of the tensors that are added."""
_GRAPH_NODE, _GRAPH_CONSTANT = 1, 5
"""Numbers of fields, from onnx.proto3."""
_WIDER = (FLOAT, INT64)
"""Element types of constants in graphs that compute in float32."""


def make_lean(content: bytes) -> bytes | None:
    """Make the lean form of a graph.

    Args:
        content: bytes of an ONNX file.

    Returns:
        Bytes of the lean form. None where there is none: for graphs that do not compute in float32, have subgraphs or
        leave weights in other files, and for those without sparse convolutions and pixel shuffles.

    Raises:
        ValueError: the bytes are no ONNX file.
    """
    if b"DepthToSpace" not in content and CONVOLUTION.encode() not in content:
        return None
    data = memoryview(content)
    graph = read_facts(data)
    if not _is_plain(graph) or find_outside(content):
        return None
    rewriting = _Rewriting(graph)
    nodes = [rewriting.rewrite(node, raw) for node, raw in zip(graph.nodes, list_nodes(data), strict=True)]
    if not rewriting.changed:
        return None
    constants = [write_constant(name, values) for name, values in rewriting.constants.items()]
    return replace_graph(data, lambda graph: _replace(graph, nodes, constants))


def _is_plain(graph: GraphFacts) -> bool:
    """Tell whether a graph computes in float32 alone."""
    return (
        all(tensor.element == FLOAT for tensor in graph.inputs.values())
        and all(tensor.element in _WIDER for tensor in graph.constants.values())
        and not any(node.operator in _BODIES or _narrows(node) for node in graph.nodes)
        and not any(name.startswith(_PREFIX) for node in graph.nodes for name in node.outputs)
    )


def _narrows(node: Node) -> bool:
    """Tell whether a node makes floats less precise."""
    return "Quantize" in node.operator or (node.operator == "Cast" and node.attributes.get("to") == FLOAT16)


def _replace(graph: memoryview, nodes: list[bytes], constants: list[bytes]) -> bytes:
    """Write a graph with other nodes and further constants."""
    kept: list[tuple[int, Value]] = [entry for entry in read_fields(graph) if entry[0] != _GRAPH_NODE]
    added = b"".join(write_field(_GRAPH_CONSTANT, constant) for constant in constants)
    return b"".join(nodes) + b"".join(write_field(*entry) for entry in kept) + added


class _Rewriting:
    """Walk through the nodes of a graph."""

    def __init__(self, graph: GraphFacts) -> None:
        self._graph = graph
        self._masks = OpenMasks(graph)
        self._makers = {name: node for node in graph.nodes for name in node.outputs}
        self._masked: dict[tuple[str, str], str] = {}
        self._sparse = 0
        self.constants: dict[str, np.ndarray] = {}
        """Kernels of the transposed convolutions by name."""
        self.changed = False
        """Whether a node was replaced."""

    def rewrite(self, node: Node, raw: memoryview) -> bytes:
        """Write the nodes in the place of one."""
        made = self._lean(node)
        self._sparse += node.domain == DOMAIN
        self.changed |= bool(made)
        return b"".join(write_field(_GRAPH_NODE, one) for one in made or [bytes(raw)])

    def _lean(self, node: Node) -> list[bytes]:
        """Write the lean form of a node.

        It is empty for a node that stays.
        """
        if node.domain == DOMAIN and node.operator == CONVOLUTION:
            return self._convolve(node)
        if is_shuffle(node):
            return self._shuffle(node)
        if self._masks.is_shuffle_mask(node):
            return [write_node("Identity", node.inputs[:1], node.outputs[0], node.outputs[0])]
        return []

    def _convolve(self, node: Node) -> list[bytes]:
        x, mask, weight, bias = node.inputs
        output, slope, readable = node.outputs[0], node.attributes["negative_slope"], node.attributes["clean_input"]
        shape = self._shape(weight)
        if len(shape) != 4 or readable not in (0.0, 1.0) or not isinstance(slope, float):
            return []
        name, made = f"{CONVOLUTION} {self._sparse}", list[bytes]()
        if readable == 0.0 and shape[2:] != (1, 1):
            if (x, mask) not in self._masked:
                self._masked[x, mask] = f"{_PREFIX}{x}_{mask}"
                made.append(write_node("Mul", [x, mask], self._masked[x, mask], f"{name} mask"))
            x = self._masked[x, mask]
        chain: list[tuple[str, list[str], dict[str, Attribute]]]
        chain = [("Conv", [weight, bias], {"pads": node.attributes["pads"]})]
        if slope == 0.0:  # ONNX Runtime computes it faster than a LeakyRelu without a slope
            chain.append(("Relu", [], {}))
        elif slope != 1.0:
            chain.append(("LeakyRelu", [], {"alpha": slope}))
        if not self._masks.is_open(output, mask):
            chain.append(("Mul", [mask], {}))
        for place, (operator, others, attributes) in enumerate(chain, start=1):
            target = output if place == len(chain) else f"{_PREFIX}{output}_{place}"
            made.append(write_node(operator, [x, *others], target, name if place == 1 else target, attributes))
            x = target
        return made

    def _shuffle(self, node: Node) -> list[bytes]:
        """Write a pixel shuffle as a transposed convolution.

        Each group makes a channel of four: the first becomes the upper left pixel of each cell, and so on.
        """
        maker = self._makers.get(node.inputs[0])
        weight = maker.inputs[{"Conv": 1, CONVOLUTION: 2}[maker.operator]] if maker and _is_convolution(maker) else ""
        channels = next(iter(self._shape(weight)), 0)
        if channels % 4 or not channels:
            return []
        kernel = f"{_PREFIX}shuffle_{channels}"
        self.constants[kernel] = np.tile(np.eye(4, dtype=np.float32).reshape(4, 1, 2, 2), (channels // 4, 1, 1, 1))
        attributes: dict[str, Attribute] = {"group": channels // 4, "kernel_shape": (2, 2), "strides": (2, 2)}
        return [write_node("ConvTranspose", [node.inputs[0], kernel], node.outputs[0], node.outputs[0], attributes)]

    def _shape(self, name: str) -> tuple[int, ...]:
        """Return the sizes of a constant of float32."""
        tensor = self._graph.constants.get(name)
        if tensor is None or tensor.element != FLOAT or tensor.shape is None:
            return ()
        return tuple(size for size in tensor.shape if isinstance(size, int))


def _is_convolution(node: Node) -> bool:
    return (node.domain, node.operator) in (("", "Conv"), (DOMAIN, CONVOLUTION))

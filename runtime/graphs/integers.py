"""Packed INT8 graphs with products of integers, for ONNX Runtime.

The packed graph of a bundle scales int8 rows back before each product, because standard operators of integers are
slower than those of floats, and wrong on some processors. ONNX Runtime has an operator of its own that multiplies uint8
rows by int8 weights and scales the sums. Here rows are uint8, 128 larger than int8, so that a row of zeros holds 128;
the operator takes 128 off again, and every sum is that of the calibrated integers.

The sums are exact. Those of the written graph are sums of floats, which round; so a value that lies on the border
between two steps of the next layer may fall to the other side.

Only the rows of layers that all have this form are changed: quantized once, gathered in blocks, scaled back, and
multiplied by constant weights. Before this form is used, the processor's products must be tried, see
`spair.runtime.backends.products`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from .facts import FLOAT, INT8, GraphFacts, Node, list_nodes, read_facts, read_node
from .outside import find_outside
from .wire import Value, read_fields, to_bytes, to_text
from .writing import replace_graph, write_constant, write_field, write_node

DOMAIN = "com.microsoft"
"""ONNX domain of ONNX Runtime's own operators."""
PRODUCT = "MatMulIntegerToFloat"
"""Product of integers that are scaled; its inputs are rows, weights, scales and zero points of both, and biases."""
ZERO = 128
"""Value of uint8 that stands for zero."""
_ZERO_NAME = "integer_zero"
_MODEL_OPSET = 8
_GRAPH_NODE, _GRAPH_CONSTANT, _GRAPH_OUTPUT, _VALUE_NAME = 1, 5, 12, 1
_NODE_ATTRIBUTE, _ATTRIBUTE_NAME, _ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 5, 1, 6, 11
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
"""Numbers of fields, from onnx.proto3."""
_UNSCALED = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}
"""Attributes of a plain product with a bias."""


def make_integer(content: bytes) -> bytes | None:
    """Make the form of a packed graph on integers.

    Args:
        content: bytes of an ONNX file.

    Returns:
        Bytes of that form. None where there is none: for graphs without packed INT8 layers, and those that leave
        weights in other files.

    Raises:
        ValueError: the bytes are no ONNX file.
    """
    if b"Scan" not in content or b"QuantizeLinear" not in content or find_outside(content):
        return None
    data = memoryview(content)
    rewriting = _Rewriting(read_facts(data), list_nodes(data))
    nodes = rewriting.rewrite()
    if not nodes:
        return None
    constant = write_field(_GRAPH_CONSTANT, write_constant(_ZERO_NAME, np.array(ZERO, np.uint8)))
    opset = write_field(_OPSET_DOMAIN, DOMAIN.encode()) + write_field(_OPSET_VERSION, 1)
    return replace_graph(data, lambda graph: _replace(graph, nodes) + constant) + write_field(_MODEL_OPSET, opset)


@dataclass
class _Level:
    """Nodes of the graph or of a loop's body."""

    nodes: list[Node]
    raw: list[memoryview]
    outputs: list[str]
    """Names of the values that the graph or body gives."""
    makers: dict[str, Node] = field(init=False)
    reads: Counter[str] = field(init=False)
    """Number of reads of each value by nodes of this level; an output is one more."""

    def __post_init__(self) -> None:
        self.makers = {name: node for node in self.nodes for name in node.outputs}
        self.reads = Counter([*self.outputs, *(name for node in self.nodes for name in node.inputs)])


class _Rewriting:
    """Search for layers of integers, and their new nodes."""

    def __init__(self, graph: GraphFacts, raw: list[memoryview]) -> None:
        self._graph = graph
        self._top = _Level(list(graph.nodes), raw, list(graph.outputs))
        self._bodies: dict[int, _Level] = {}
        self._reads = Counter(self._top.reads)
        for place, (node, data) in enumerate(zip(graph.nodes, raw, strict=True)):
            bodies = list(_find_bodies(data))
            if node.operator == "Scan" and len(bodies) == 1:
                inner = [to_bytes(part) for number, part in read_fields(bodies[0]) if number == _GRAPH_NODE]
                self._bodies[place] = _Level([read_node(one) for one in inner], inner, list(_list_outputs(bodies[0])))
            self._reads.update(name for body in bodies for name in _names_read(body))

    def rewrite(self) -> list[bytes]:
        """Write all nodes anew.

        The result is empty if no layer has the form.
        """
        levels = (self._top, *self._bodies.values())
        found = [self._find_products(level) for level in levels]
        chains = Counter(source for products in found for source in products.values())
        usable = {source for source, count in chains.items() if count == self._reads[source]}
        if not usable:
            return []
        # By level, because bodies may use the same names for values of their own.
        chosen = [{name for name, source in products.items() if source in usable} for products in found]
        read = Counter(
            level.makers[name].inputs[1] for level, names in zip(levels, chosen, strict=True) for name in names
        )
        unread = {name for name, count in read.items() if count == self._reads[name]}
        made = self._write(self._top, chosen[0], usable | unread)
        for (place, body), names in zip(self._bodies.items(), chosen[1:], strict=True):
            made[place] = _replace_body(made[place], self._write(body, names, set()))
        return [data for data in made if data]

    def _find_products(self, level: _Level) -> dict[str, str]:
        """Find the products of a level whose rows are quantized.

        Returns:
            Result of each product -> the quantized rows that it reads.
        """
        found = {}
        for node in level.nodes:
            source = self._source(node, level) if self._is_product(node) else None
            if source is not None:
                found[node.outputs[0]] = source
        return found

    def _is_product(self, node: Node) -> bool:
        """Tell whether a node multiplies by constant int8 weights."""
        if node.operator != "Gemm" or node.domain or len(node.inputs) != 3:
            return False
        weights = self._top.makers.get(node.inputs[1])
        if weights is None or weights.operator != "DequantizeLinear" or weights.attributes.get("axis") != 1:
            return False
        cut = self._top.makers.get(weights.inputs[0])
        stored = self._graph.constants.get(cut.inputs[0] if cut and cut.operator == "Slice" else weights.inputs[0])
        plain = all(_UNSCALED.get(name) == value for name, value in node.attributes.items())
        return plain and len(weights.inputs) == 2 and stored is not None and stored.element == INT8

    def _source(self, product: Node, level: _Level) -> str | None:
        """Return the quantized rows behind a product, if any."""
        scaled = level.makers.get(product.inputs[0])
        if scaled is None or scaled.operator != "DequantizeLinear" or len(scaled.inputs) != 2:
            return None
        scale = self._graph.constants.get(scaled.inputs[1])
        if level.reads[scaled.outputs[0]] != 1 or scale is None or (scale.element, scale.shape) != (FLOAT, ()):
            return None
        name = scaled.inputs[0]
        while (maker := level.makers.get(name)) is not None and maker.operator in ("Reshape", "Gather"):
            if level.reads[name] != 1:
                return None
            name = maker.inputs[0]
        quantizer = self._top.makers.get(name)
        return name if quantizer is not None and self._is_quantizer(quantizer) else None

    def _is_quantizer(self, node: Node) -> bool:
        if node.operator != "QuantizeLinear" or node.domain or len(node.inputs) != 3:
            return False
        zero = self._graph.constants.get(node.inputs[2])
        return zero is not None and zero.element == INT8 and set(zero.values) == {0}

    def _write(self, level: _Level, chosen: set[str], changed: set[str]) -> list[bytes]:
        """Write the nodes of a level.

        Args:
            level: the level.
            chosen: results of the products that take integers.
            changed: quantized rows, and scaled weights that nothing reads any more; bodies have none.

        Returns:
            The nodes in their places; one that goes is empty.
        """
        unread = {node.inputs[0] for node in level.nodes if chosen & {*node.outputs}}
        made = []
        for node, raw in zip(level.nodes, level.raw, strict=True):
            output = next(iter(node.outputs), "")
            if output in chosen:
                made.append(self._multiply(node, level.makers[node.inputs[0]]))
            elif output in changed and node.operator == "QuantizeLinear":
                made.append(write_node("QuantizeLinear", [*node.inputs[:2], _ZERO_NAME], output, output))
            else:
                made.append(b"" if output in unread | changed else bytes(raw))
        return made

    def _multiply(self, product: Node, rows: Node) -> bytes:
        weights = self._top.makers[product.inputs[1]]
        values, scales = zip(rows.inputs, weights.inputs, strict=True)
        inputs = [*values, *scales, _ZERO_NAME, "", product.inputs[2]]
        return write_node(PRODUCT, inputs, product.outputs[0], product.outputs[0], domain=DOMAIN)


def _find_bodies(node: memoryview) -> Iterator[memoryview]:
    """Yield the subgraphs of a node."""
    for number, value in read_fields(node):
        if number == _NODE_ATTRIBUTE:
            for kind, part in read_fields(to_bytes(value)):
                if kind in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                    yield to_bytes(part)


def _list_outputs(graph: memoryview) -> Iterator[str]:
    """Yield the names of a subgraph's outputs."""
    for number, value in read_fields(graph):
        if number == _GRAPH_OUTPUT:
            yield from (to_text(part) for kind, part in read_fields(to_bytes(value)) if kind == _VALUE_NAME)


def _names_read(graph: memoryview) -> Iterator[str]:
    """Yield the names that a subgraph reads, at any depth."""
    waiting = [graph]
    while waiting:
        body = waiting.pop()
        yield from _list_outputs(body)
        for number, part in read_fields(body):
            if number == _GRAPH_NODE:
                yield from read_node(to_bytes(part)).inputs
                waiting += _find_bodies(to_bytes(part))


def _replace(graph: memoryview, nodes: list[bytes]) -> bytes:
    """Write a graph with other nodes."""
    kept: list[tuple[int, Value]] = [entry for entry in read_fields(graph) if entry[0] != _GRAPH_NODE]
    made = [write_field(_GRAPH_NODE, node) for node in nodes if node]
    return b"".join(made) + b"".join(write_field(*entry) for entry in kept)


def _replace_body(node: bytes, nodes: list[bytes]) -> bytes:
    """Write a loop with another body."""
    fields = []
    for number, value in read_fields(memoryview(node)):
        if number == _NODE_ATTRIBUTE and _attribute_name(to_bytes(value)) == "body":
            parts = [
                (kind, _replace(to_bytes(part), nodes) if kind == _ATTRIBUTE_GRAPH else part)
                for kind, part in read_fields(to_bytes(value))
            ]
            value = memoryview(b"".join(write_field(*part) for part in parts))
        fields.append(write_field(number, value))
    return b"".join(fields)


def _attribute_name(attribute: memoryview) -> str:
    return next((to_text(value) for number, value in read_fields(attribute) if number == _ATTRIBUTE_NAME), "")

"""Inputs, outputs, nodes and constants of an ONNX file."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from .wire import Value, read_fields, read_numbers, to_bytes, to_number, to_text

FLOAT, UINT8, INT8, INT64, FLOAT16, DOUBLE, BFLOAT16 = 1, 2, 3, 7, 10, 11, 16
"""Element types of `TensorProto.DataType`."""
SMALL = 8
"""Number of values up to which a constant is read."""
ELEMENTS = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16",
    17: "float8e4m3fn", 18: "float8e4m3fnuz", 19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4",
    23: "float4e2m1", 24: "float8e8m0",
}  # fmt: skip
"""Names of the element types by number."""
Attribute = int | float | str | tuple[int, ...]
"""Value of a node's attribute; tensors and graphs are left out."""

# Numbers of fields, from onnx.proto3.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_TYPE, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 4, 5, 7
_ATTRIBUTE_NAME, _ATTRIBUTE_FLOAT, _ATTRIBUTE_INT, _ATTRIBUTE_TEXT, _ATTRIBUTE_INTS = 1, 2, 3, 4, 8
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_TENSOR_VALUES = {FLOAT: 4, INT8: 5, INT64: 7}
_FORMATS = {FLOAT: "f", INT8: "b", INT64: "q"}
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR, _TENSOR_TYPE_ELEMENT, _TENSOR_TYPE_SHAPE = 1, 1, 2
_SHAPE_DIM, _DIM_VALUE, _DIM_PARAM = 1, 1, 2


@dataclass(frozen=True)
class ArrayType:
    """Type of a graph's input, output or constant."""

    element: int
    """Number of the element type, see `ELEMENTS`; 0 for what is no tensor."""
    shape: tuple[int | str, ...] | None
    """Sizes; a name or "" for a free one. None where the file does not say."""
    values: tuple[float, ...] = ()
    """Values of a constant of float32, int8 or int64 that has at most `SMALL`; empty for any other."""

    @property
    def element_name(self) -> str:
        """Name of the element type."""
        return ELEMENTS.get(self.element, f"type {self.element}")


@dataclass(frozen=True)
class Node:
    """Node of a graph, without its subgraphs."""

    operator: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True)
class GraphFacts:
    """Facts about the main graph of a file."""

    inputs: Mapping[str, ArrayType]
    """Inputs by name; constants that older files list among them are left out."""
    outputs: Mapping[str, ArrayType]
    nodes: tuple[Node, ...]
    constants: Mapping[str, ArrayType]
    """Types of the constants by name."""


def read_graph(path: Path) -> GraphFacts:
    """Read the facts about an ONNX file.

    Raises:
        UserError: it is no ONNX file.
        OSError: it cannot be read.
    """
    try:
        return read_facts(memoryview(path.read_bytes()))
    except ValueError as error:
        raise UserError(f"{path} is no ONNX file: {error}; export it again") from error


def read_facts(data: memoryview) -> GraphFacts:
    """Read the facts about the bytes of an ONNX file.

    Raises:
        ValueError: they are no ONNX file.
    """
    inputs: dict[str, ArrayType] = {}
    outputs: dict[str, ArrayType] = {}
    constants: dict[str, ArrayType] = {}
    nodes: list[Node] = []
    for number, value in read_fields(data):
        if number != _MODEL_GRAPH:
            continue
        for place, part in read_fields(to_bytes(value)):
            if place == _GRAPH_NODE:
                nodes.append(read_node(to_bytes(part)))
            elif place == _GRAPH_INITIALIZER:
                _add(constants, _read_constant(to_bytes(part)))
            elif place == _GRAPH_INPUT:
                _add(inputs, _read_value(to_bytes(part)))
            elif place == _GRAPH_OUTPUT:
                _add(outputs, _read_value(to_bytes(part)))
    free = {name: tensor for name, tensor in inputs.items() if name not in constants}
    return GraphFacts(free, outputs, tuple(nodes), constants)


def list_nodes(data: memoryview) -> list[memoryview]:
    """List the bytes of a graph's nodes.

    They stand in the order of `GraphFacts.nodes`.

    Args:
        data: bytes of an ONNX file.

    Raises:
        ValueError: they are no ONNX file.
    """
    return [
        to_bytes(part)
        for number, value in read_fields(data)
        if number == _MODEL_GRAPH
        for place, part in read_fields(to_bytes(value))
        if place == _GRAPH_NODE
    ]


def _add(table: dict[str, ArrayType], entry: tuple[str, ArrayType]) -> None:
    table[entry[0]] = entry[1]


def _read_constant(data: memoryview) -> tuple[str, ArrayType]:
    name, element, shape = "", 0, list[int]()
    stored: dict[int, list[Value]] = {}
    for number, value in read_fields(data):
        if number == _TENSOR_DIMS:
            shape += read_numbers(value)
        elif number == _TENSOR_TYPE:
            element = to_number(value)
        elif number == _TENSOR_NAME:
            name = to_text(value)
        else:
            stored.setdefault(number, []).append(value)
    small = element in _FORMATS and math.prod(shape) <= SMALL
    return name, ArrayType(element, tuple(shape), _read_values(element, stored) if small else ())


def _read_values(element: int, stored: Mapping[int, Sequence[Value]]) -> tuple[float, ...]:
    """Return the values of a constant."""
    if _TENSOR_RAW in stored:
        raw = bytes(to_bytes(stored[_TENSOR_RAW][-1]))
    elif element in (INT8, INT64):
        return tuple(number for value in stored.get(_TENSOR_VALUES[element], ()) for number in read_numbers(value))
    else:
        raw = b"".join(bytes(to_bytes(value)) for value in stored.get(_TENSOR_VALUES[element], ()))
    size = struct.calcsize(_FORMATS[element])
    if len(raw) % size:
        raise ValueError(f"a constant has {len(raw)} bytes, which are no numbers of {size}")
    return struct.unpack(f"<{len(raw) // size}{_FORMATS[element]}", raw)


def _read_value(data: memoryview) -> tuple[str, ArrayType]:
    name, tensor = "", ArrayType(0, None)
    for number, value in read_fields(data):
        if number == _VALUE_NAME:
            name = to_text(value)
        elif number == _VALUE_TYPE:
            for kind, content in read_fields(to_bytes(value)):
                tensor = _read_type(to_bytes(content)) if kind == _TYPE_TENSOR else tensor
    return name, tensor


def _read_type(data: memoryview) -> ArrayType:
    element, shape = 0, None
    for number, value in read_fields(data):
        if number == _TENSOR_TYPE_ELEMENT:
            element = to_number(value)
        elif number == _TENSOR_TYPE_SHAPE:
            shape = tuple(_read_size(dim) for place, dim in read_fields(to_bytes(value)) if place == _SHAPE_DIM)
    return ArrayType(element, shape)


def _read_size(value: Value) -> int | str:
    size: int | str = ""
    for number, content in read_fields(to_bytes(value)):
        if number == _DIM_VALUE:
            size = to_number(content)
        elif number == _DIM_PARAM:
            size = to_text(content)
    return size


def read_node(data: memoryview) -> Node:
    """Read the facts about the bytes of a node.

    Raises:
        ValueError: they are no node.
    """
    inputs, outputs, operator, domain = list[str](), list[str](), "", ""
    attributes: dict[str, Attribute] = {}
    for number, value in read_fields(data):
        if number == _NODE_INPUT:
            inputs.append(to_text(value))
        elif number == _NODE_OUTPUT:
            outputs.append(to_text(value))
        elif number == _NODE_TYPE:
            operator = to_text(value)
        elif number == _NODE_DOMAIN:
            domain = to_text(value)
        elif number == _NODE_ATTRIBUTE:
            attributes |= _read_attribute(to_bytes(value))
    return Node(operator, domain, tuple(inputs), tuple(outputs), attributes)


def _read_attribute(data: memoryview) -> dict[str, Attribute]:
    """Read an attribute.

    The result is empty for a tensor or a graph.
    """
    name, found = "", list[Attribute]()
    numbers: list[int] = []
    for number, value in read_fields(data):
        if number == _ATTRIBUTE_NAME:
            name = to_text(value)
        elif number == _ATTRIBUTE_INT:
            found.append(to_number(value))
        elif number == _ATTRIBUTE_FLOAT:
            found.append(_read_float(to_bytes(value)))
        elif number == _ATTRIBUTE_TEXT:
            found.append(bytes(to_bytes(value)).decode("utf-8", "replace"))
        elif number == _ATTRIBUTE_INTS:
            numbers += read_numbers(value)
    if numbers:
        return {name: tuple(numbers)}
    return {name: found[-1]} if found else {}


def _read_float(data: memoryview) -> float:
    if len(data) != 4:
        raise ValueError(f"a number has {len(data)} bytes, expected 4")
    return float(struct.unpack("<f", data)[0])

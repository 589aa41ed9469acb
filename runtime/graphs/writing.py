"""Writer of nodes and constants in ONNX's format."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from .facts import FLOAT, INT8, UINT8, Attribute
from .wire import Value, read_fields, to_bytes

_NUMBER, _BYTES, _FOUR_BYTES = 0, 2, 5
"""Ways in which a field is stored."""

# Numbers of fields and of attribute types, from onnx.proto3.
_MODEL_GRAPH = 7
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_TYPE, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 3, 4, 5, 7
_NAME, _FLOAT, _INT, _INTS, _TYPE = 1, 2, 3, 8, 20
_TYPE_FLOAT, _TYPE_INT, _TYPE_INTS = 1, 2, 7
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_ELEMENTS = {"float32": FLOAT, "int8": INT8, "uint8": UINT8}
"""Element types by numpy's names."""


def write_field(number: int, value: Value | bytes) -> bytes:
    """Write a field of a message.

    Args:
        number: number of the field.
        value: a whole number, or the bytes of a text or a message.
    """
    if isinstance(value, int):
        return _varint(number << 3 | _NUMBER) + _varint(value & (1 << 64) - 1)
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + bytes(value)


def replace_graph(model: memoryview, make: Callable[[memoryview], bytes]) -> bytes:
    """Write a model with another graph.

    Args:
        model: bytes of an ONNX file. Its graph may lie in several parts, which readers join.
        make: makes the new graph from the joined parts.
    """
    fields = list(read_fields(model))
    graph = b"".join(bytes(to_bytes(value)) for number, value in fields if number == _MODEL_GRAPH)
    others = b"".join(write_field(number, value) for number, value in fields if number != _MODEL_GRAPH)
    return others + write_field(_MODEL_GRAPH, make(memoryview(graph)))


def write_node(
    operator: str,
    inputs: Iterable[str],
    output: str,
    name: str,
    attributes: Mapping[str, Attribute] | None = None,
    *,
    domain: str = "",
) -> bytes:
    """Write a node with one output.

    Args:
        operator: type of the node.
        inputs: names of its inputs.
        output: name of its output.
        name: its own name.
        attributes: whole numbers, lists of them, and floats by name.
        domain: domain of its type; empty for standard operators.
    """
    parts = [write_field(_NODE_INPUT, one.encode()) for one in inputs]
    parts.append(write_field(_NODE_OUTPUT, output.encode()))
    parts.append(write_field(_NODE_NAME, name.encode()))
    parts.append(write_field(_NODE_TYPE, operator.encode()))
    parts += [write_field(_NODE_ATTRIBUTE, _write_attribute(*entry)) for entry in (attributes or {}).items()]
    if domain:
        parts.append(write_field(_NODE_DOMAIN, domain.encode()))
    return b"".join(parts)


def write_constant(name: str, values: np.ndarray) -> bytes:
    """Write a constant of float32, int8 or uint8."""
    element = _ELEMENTS[values.dtype.name]
    parts = [write_field(_TENSOR_DIMS, size) for size in values.shape]
    parts.append(write_field(_TENSOR_TYPE, element))
    parts.append(write_field(_TENSOR_NAME, name.encode()))
    parts.append(write_field(_TENSOR_RAW, values.astype(values.dtype.newbyteorder("<")).tobytes()))
    return b"".join(parts)


def _write_attribute(name: str, value: Attribute) -> bytes:
    named = write_field(_NAME, name.encode())
    if isinstance(value, float):
        stored = _varint(_FLOAT << 3 | _FOUR_BYTES) + struct.pack("<f", value)
        return named + stored + write_field(_TYPE, _TYPE_FLOAT)
    if isinstance(value, int):
        return named + write_field(_INT, value) + write_field(_TYPE, _TYPE_INT)
    if isinstance(value, tuple):
        return named + b"".join(write_field(_INTS, one) for one in value) + write_field(_TYPE, _TYPE_INTS)
    raise TypeError(f"the attribute {name} is {value!r}, expected a number or whole numbers")


def _varint(number: int) -> bytes:
    """Write a number of 64 bits without a sign."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)

"""Inner values of ONNX graphs as further outputs."""

from __future__ import annotations

from collections.abc import Iterable

_GRAPH = b"\x3a"  # ModelProto.graph, field 7, of varying length
_OUTPUT = b"\x62"  # GraphProto.output, field 12
_NAME = b"\x0a"  # ValueInfoProto.name, field 1


def expose_values(model: bytes, names: Iterable[str]) -> bytes:
    """Add outputs to a serialized model.

    No package reads it: in the format of protocol buffers, appending a part to a message adds its lists to those that
    are there. ONNX Runtime finds the types of the outputs by itself.

    Args:
        model: content of a .onnx file.
        names: values that nodes of the graph make; those that are outputs already are left out by the caller.

    Returns:
        Content of a .onnx file whose outputs are the old ones and the named values.
    """
    outputs = b"".join(_field(_OUTPUT, _field(_NAME, name.encode())) for name in names)
    return model + _field(_GRAPH, outputs)


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)

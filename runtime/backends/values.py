"""Inner values of ONNX graphs as further outputs."""

from __future__ import annotations

from collections.abc import Iterable

from ..graphs.writing import write_field

_GRAPH, _OUTPUT, _NAME = 7, 12, 1
"""Numbers of the fields ModelProto.graph, GraphProto.output and ValueInfoProto.name, from onnx.proto3."""


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
    outputs = b"".join(write_field(_OUTPUT, write_field(_NAME, name.encode())) for name in names)
    return model + write_field(_GRAPH, outputs)

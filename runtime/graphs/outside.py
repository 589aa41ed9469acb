"""Weights that an ONNX file leaves in other files."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserError
from .wire import read_fields, to_bytes, to_text

_TENSOR, _SPARSE, _GRAPH, _NODE, _ATTRIBUTE, _FUNCTION, _TRAINING, _MODEL = range(8)
"""Messages that hold tensors, at any depth."""
_INSIDE = {
    _MODEL: {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION},
    _TRAINING: {1: _GRAPH, 2: _GRAPH},
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _FUNCTION: {7: _NODE, 11: _ATTRIBUTE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
}
"""Numbers of their fields that are such messages, from onnx.proto3."""
_EXTERNAL_DATA, _KEY, _TEXT = 13, 1, 2
_LOCATION = "location"
_DEEPEST = 256
"""Deepest nesting of messages; ONNX Runtime takes no deeper ones."""


def list_outside(path: Path) -> tuple[str, ...]:
    """List the files in which an ONNX file leaves weights.

    Args:
        path: the file.

    Returns:
        Places as the file states them, each once; empty for a file that holds all its weights.

    Raises:
        UserError: it is no ONNX file.
        OSError: it cannot be read.
    """
    try:
        return find_outside(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path} is no ONNX file: {error}; export it again") from error


def find_outside(content: bytes) -> tuple[str, ...]:
    """Find the files in which a graph leaves weights.

    Returns:
        Places as the file states them, each once; empty for a file that holds all its weights.

    Raises:
        ValueError: it is no ONNX file.
    """
    if _LOCATION.encode() not in content:  # the key of every such place; most files are done here
        return ()
    return tuple(dict.fromkeys(_find_places(memoryview(content))))


def _find_places(data: memoryview) -> list[str]:
    places: list[str] = []
    waiting = [(_MODEL, data, 0)]
    while waiting:
        kind, message, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ValueError(f"its messages are nested more than {_DEEPEST} deep")
        for number, value in read_fields(message):
            if kind == _TENSOR and number == _EXTERNAL_DATA:
                places += _read_place(to_bytes(value))
            elif number in _INSIDE.get(kind, {}):
                waiting.append((_INSIDE[kind][number], to_bytes(value), depth + 1))
    return places


def _read_place(entry: memoryview) -> list[str]:
    texts = {number: to_text(value) for number, value in read_fields(entry)}
    return [texts.get(_TEXT, "")] if texts.get(_KEY) == _LOCATION else []

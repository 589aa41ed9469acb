"""Plans of the double.

A plan is the 28 bytes that TensorRT's own begin with, a JSON header, and the ONNX graph.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx

MAGIC, RTX_MAGIC = b"ftrt", b"vtrt"
"""First bytes of TensorRT's plans, and of those of TensorRT-RTX."""
SERIALIZATION = 239
HEADER = 28
"""Bytes until the content: magic, version of the format, 16 others, version of TensorRT."""
Shapes = Mapping[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]
"""Name of an input -> its least, usual and largest shape."""


@dataclass(frozen=True)
class Plan:
    """Content of an engine."""

    graph: onnx.ModelProto
    profiles: Sequence[Shapes]
    plugins: bool = False
    """Whether nodes of domain `spair` are plugins; else their function bodies run."""
    detailed: bool = True
    """Whether the inspector tells types of layers, or names alone."""


def list_numbers(version: str) -> list[int]:
    """Return the numbers of a version, four at most."""
    return [int(part) for part in re.findall(r"\d+", version)[:4]]


def write_plan(plan: Plan, version: str, magic: bytes = MAGIC) -> bytes:
    """Serialize a plan.

    Bytes 24 to 27 are the version, filled up with zeros.
    """
    header = json.dumps({"profiles": plan.profiles, "plugins": plan.plugins, "detailed": plan.detailed}).encode()
    numbers = bytes(number % 256 for number in (*list_numbers(version), 0, 0, 0, 0)[:4])
    start = magic + struct.pack("<I", SERIALIZATION) + bytes(16) + numbers
    return start + struct.pack("<I", len(header)) + header + plan.graph.SerializeToString()


def read_plan(content: bytes, version: str, magic: bytes = MAGIC) -> Plan:
    """Deserialize a plan.

    Raises:
        ValueError: it is no plan, one of another version, or cut off.
    """
    if content[:4] != magic:
        raise ValueError("Serialization assertion stdArchiveReaderInitCommon failed. Magic tag does not match")
    numbers = list_numbers(version)
    if list(content[24 : 24 + len(numbers)]) != numbers:
        raise ValueError(f"Version tag does not match: plan {list(content[24:28])}, this is {version}")
    try:
        (size,) = struct.unpack("<I", content[HEADER : HEADER + 4])
        start = HEADER + 4
        header: dict[str, Any] = json.loads(content[start : start + size])
        graph = onnx.ModelProto.FromString(content[start + size :])
    except Exception as error:
        raise ValueError(f"Serialization assertion failed. The archive is damaged: {error}") from error
    profiles = [{name: tuple(map(tuple, shapes)) for name, shapes in part.items()} for part in header["profiles"]]
    return Plan(graph, profiles, header["plugins"], header["detailed"])

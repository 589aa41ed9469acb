"""Times that an H100 measured, and kernels that ran there.

docs/results/h100.json has both. The kernels are those of the first version of the plugins: they were compiled again
from the commit that ran, with the same Triton and ptxas, and counted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from benchmarks.estimates.counted import Tiles, read_tiles
from benchmarks.subjects.layers import Attention, Modulation, Operator, SparseLayer
from spair.plugins.cost import NumberType

FILE = Path(__file__).parents[2] / "docs" / "results" / "h100.json"
GPU = "H100 SXM"
"""Name in `benchmarks.subjects.gpus`."""
KINDS: dict[str, Any] = {"SparseConv2d": SparseLayer, "SparseNonLocal": Attention, "MaskedModulation": Modulation}
"""Classes of the operators."""
Part = Literal["all", "convolutions"]
"""Layers that are added up."""


@dataclass(frozen=True)
class MeasuredLayers:
    """Sums over the layers of Net_R, in milliseconds."""

    kind: NumberType
    part: Part
    density: float
    sparse_ms: float
    dense_ms: float


@dataclass(frozen=True)
class MeasuredNetwork:
    """Whole network under PyTorch, in milliseconds."""

    kind: NumberType
    size: tuple[int, int]
    density: float
    sparse_ms: float
    dense_ms: float
    module_ms: float


@cache
def read_file() -> dict[str, Any]:
    """Read the file."""
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return content


def list_layers() -> Sequence[MeasuredLayers]:
    """List the sums over layers.

    The file names the size of the picture and the masks.
    """
    return [MeasuredLayers(**row) for row in read_file()["layers"]]


def list_networks() -> Sequence[MeasuredNetwork]:
    """List the times of the whole network."""
    return [MeasuredNetwork(**{**row, "size": tuple(row["size"])}) for row in read_file()["network"]]


def list_tiles() -> Tiles:
    """List the tiles of the kernels that ran."""
    return read_tiles(read_file()["tiles"])


def list_operators() -> list[Operator]:
    """List the sparse operators of the network that ran."""
    return [
        KINDS[row["operator"]](**{key: row[key] for key in row if key != "operator"})
        for row in read_file()["operators"]
    ]


def find_between(kind: NumberType, size: tuple[int, int]) -> tuple[int, int]:
    """Find the launches between a network's operators, and their bytes."""
    row = next(row for row in read_file()["between"] if row["kind"] == kind and tuple(row["size"]) == size)
    return row["launches"], row["bytes"]


def layers_size() -> tuple[int, int]:
    """Return width and height of the layers' picture."""
    width, height = read_file()["size"]
    return width, height


def layers_mask() -> str:
    """Return the shape of the masks."""
    return str(read_file()["mask"])


def preset() -> str:
    """Return the size of the network."""
    return str(read_file()["preset"])

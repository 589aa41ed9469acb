"""The file of measured times holds what the page on GPUs says, number by number."""

import re
from pathlib import Path

import pytest

from benchmarks.estimates import h100
from benchmarks.subjects.layers import SparseLayer

PAGE = (Path(__file__).parents[3] / "docs/results/gpu.md").read_text(encoding="utf-8")
TABLES = {
    "FP16, all layers, ms": ("fp16", "all"),
    "FP16, convolutions alone, ms": ("fp16", "convolutions"),
    "INT8 read from FP16": ("int8", "convolutions"),
}
"""Beginnings of the tables of layers, with type and part."""


def read_table(title: str) -> list[list[str]]:
    """Read the cells of the table behind a line that begins so, without its head."""
    (rows,) = re.findall(rf"^{re.escape(title)}.*\n\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in rows.splitlines()[2:]]


def read_share(cell: str) -> float:
    return round(float(cell.removesuffix(" %")) / 100, 4)


@pytest.mark.parametrize("title", TABLES)
def test_sums_of_layers_are_those_of_the_page(title):
    rows = [row for row in h100.list_layers() if (row.kind, row.part) == TABLES[title]]
    shown = [(read_share(cells[0]), float(cells[1]), float(cells[2])) for cells in read_table(title)]
    assert [(row.density, row.sparse_ms, row.dense_ms) for row in rows] == shown


@pytest.mark.parametrize("kind", ["fp32", "fp16"])
@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)], ids=str)
def test_networks_are_those_of_the_page(kind, size):
    table = [cells for cells in read_table(f"{kind.upper()}, {size[0]} × {size[1]}:") if cells[0] != "above"]
    rows = [row for row in h100.list_networks() if (row.kind, row.size) == (kind, size)]
    shown = [(read_share(cells[0]), *(float(cell) for cell in cells[1:4])) for cells in table]
    assert [(row.density, row.sparse_ms, row.dense_ms, row.module_ms) for row in rows] == shown


def test_the_network_that_ran_is_the_first_form_of_todays(first_operators):
    assert h100.list_operators() == first_operators


def test_kernels_of_all_layers_are_counted():
    tiles = h100.list_tiles()
    usual = tiles["sparse_conv2d.fp16.fp16.fp16.k3.c64.d64"]
    assert usual.instructions / usual.pixels == pytest.approx(248.9, abs=0.05)
    for layer in h100.list_operators():
        if isinstance(layer, SparseLayer):
            size = f"k{layer.kernel}.c{layer.channels}.d{layer.outputs}"
            assert {f"sparse_conv2d.{types}.{size}" for types in ("fp32.fp32.fp32", "fp16.int8.fp16")} <= set(tiles)

"""Compare packings of a submanifold 3x3 convolution in standard operators.

Run from the repository root: `python -m benchmarks.cpu.packings [--channels 64 --side 512]`. It times one layer
with bias and ReLU by shape and density of the mask. Features are packed before and after. Tables and lists, which
depend on the mask alone, are prepared outside of the time, since all layers of a scale share them. Every packing is
compared with the dense layer first.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from benchmarks.common.arguments import parse_count, parse_names, parse_shares
from benchmarks.common.measuring import (
    describe_run,
    print_progress,
    require_equal,
    show_run,
    show_table,
    take_turns,
    write_json,
)
from spair.export.packed.emit import Emitter
from spair.runtime.errors import GateError
from spair.runtime.profiling.masks import SHAPES, make_mask

BLOCK = 1024
"""Rows at a time, as in `spair.export.packed.sites`."""
TILE = 8
"""Side of a tile in pixels."""

Feeds = dict[str, np.ndarray]


class PackingCase:
    """Layer with weights, a mask, and packed input rows.

    Row 0 is zeros; then there is one row for each distorted pixel, row-major.
    """

    def __init__(self, channels: int, mask: np.ndarray) -> None:
        random = np.random.default_rng(0)
        self.channels, self.mask = channels, mask
        weight = random.standard_normal((channels, channels, 3, 3)) / np.sqrt(9 * channels)
        self.weight = weight.astype(np.float32)
        self.bias = random.standard_normal(channels).astype(np.float32)
        self.rows = np.zeros((int(mask.sum()) + 1, channels), np.float32)
        self.rows[1:] = random.standard_normal((len(self.rows) - 1, channels))
        numbers = np.zeros(mask.shape, np.int32)
        numbers[mask] = np.arange(1, len(self.rows))
        padded = np.pad(numbers, 1)
        height, width = mask.shape
        shifted = [padded[dy : dy + height, dx : dx + width] for dx in range(3) for dy in range(3)]
        self.table = np.stack([part[mask] for part in shifted], axis=1)
        """Rows of the neighbours, [n, 9] int32, column by column; 0 where they are clean."""

    def matrix(self, columns: slice = slice(0, 3)) -> np.ndarray:
        """Return the weights [3*columns*C, D], ordered as the table."""
        return self.weight[..., columns].transpose(3, 2, 1, 0).reshape(-1, self.channels)


Packing = Callable[[PackingCase], tuple[Emitter, str, Feeds]]
"""Function that emits one packing; it gives an emitter, the name of the result [n, D], and the inputs."""


def rows_at_once(case: PackingCase) -> tuple[Emitter, str, Feeds]:
    """Gather all neighbours and multiply once."""
    emit = Emitter("t")
    near = emit.op("Reshape", emit.op("Gather", "rows", "table"), emit.const([-1, 9 * case.channels]))
    return emit, _product(emit, near, case.matrix(), case.bias), {"rows": case.rows, "table": case.table}


def rows_in_blocks(case: PackingCase) -> tuple[Emitter, str, Feeds]:
    """Gather and multiply 1,024 rows at a time."""
    emit = Emitter("t")
    rows = _blocks(emit, "table", case, slice(0, 3))
    real = emit.op("Slice", rows, emit.const([0]), emit.const([len(case.table)]), emit.const([0]))
    return emit, real, {"rows": case.rows, "table": _blocked(case.table)}


def rows_by_columns(case: PackingCase) -> tuple[Emitter, str, Feeds]:
    """Gather and multiply blocks of rows in four groups.

    The groups differ in the columns of neighbours that are all clean. `PackSparse` emits this packing.
    """
    emit, feeds = Emitter("t"), {"rows": case.rows}
    left, right = case.table[:, :3].any(1), case.table[:, 6:].any(1)
    parts, order = [], []
    for number, (first, last) in enumerate(((1, 2), (0, 2), (1, 3), (0, 3))):
        mine = np.flatnonzero((left == (first == 0)) & (right == (last == 3)))
        order.append(mine)
        feeds[f"table{number}"] = _blocked(case.table[mine, 3 * first : 3 * last])
        rows = _blocks(emit, f"table{number}", case, slice(first, last))
        parts.append(emit.op("Slice", rows, emit.const([0]), emit.const([len(mine)]), emit.const([0])))
    joined = emit.op("Concat", *parts, axis=0)
    # The comparison alone needs the order of the other packings; a chain of layers keeps the groups.
    back = emit.const(np.argsort(np.concatenate(order)))
    return emit, emit.op("Gather", joined, back), feeds


def pairs_by_offset(case: PackingCase) -> tuple[Emitter, str, Feeds]:
    """Multiply the pairs of each of the nine offsets.

    For each offset the rows that have that neighbour are gathered, multiplied, and added to the rows that they belong
    to.
    """
    emit, feeds = Emitter("t"), {"rows": case.rows}
    shape = emit.const([len(case.rows) - 1, case.channels])
    total = emit.op("Expand", emit.const(case.bias[None], np.float32), shape)
    for offset in range(9):
        out = np.flatnonzero(case.table[:, offset])
        feeds[f"in{offset}"], feeds[f"out{offset}"] = case.table[out, offset], out[:, None].astype(np.int64)
        weight = emit.const(case.matrix()[offset * case.channels : (offset + 1) * case.channels], np.float32)
        product = emit.op("MatMul", emit.op("Gather", "rows", f"in{offset}"), weight)
        total = emit.op("ScatterND", total, f"out{offset}", product, reduction="add")
    return emit, emit.op("Relu", total), feeds


def tiles(case: PackingCase) -> tuple[Emitter, str, Feeds]:
    """Convolve 8x8 tiles that have a distorted pixel.

    Each tile has a border of 1 and goes through an ordinary convolution.
    """
    emit, channels = Emitter("t"), case.channels
    height, width = case.mask.shape
    numbers = np.zeros((height + 2, width + 2), np.int32)
    numbers[1:-1, 1:-1][case.mask] = np.arange(1, len(case.rows))
    active = case.mask.reshape(height // TILE, TILE, width // TILE, TILE).any((1, 3))
    windows = np.lib.stride_tricks.sliding_window_view(numbers, (TILE + 2, TILE + 2))[::TILE, ::TILE][active]
    inner = windows[:, 1:-1, 1:-1].reshape(-1)
    position = np.zeros(len(case.rows), np.int64)
    position[inner] = np.arange(inner.size)
    near = emit.op("Transpose", emit.op("Gather", "rows", "windows"), perm=[0, 3, 1, 2])  # [T,C,10,10]
    weight, bias = emit.const(case.weight, np.float32), emit.const(case.bias, np.float32)
    result = emit.op("Relu", emit.op("Conv", near, weight, bias))
    rows = emit.op("Reshape", emit.op("Transpose", result, perm=[0, 2, 3, 1]), emit.const([-1, channels]))
    feeds = {"rows": case.rows, "windows": np.ascontiguousarray(windows), "position": position[1:]}
    return emit, emit.op("Gather", rows, "position"), feeds


PACKINGS: Mapping[str, Packing] = {
    "rows at once": rows_at_once,
    "rows in blocks": rows_in_blocks,
    "blocks by columns": rows_by_columns,
    "pairs by offset": pairs_by_offset,
    "8x8 tiles": tiles,
}


def dense(case: PackingCase) -> np.ndarray:
    """Compute the layer on the whole map, as rows.

    It computes in float64 and returns [n, D].
    """
    full = np.zeros((*case.mask.shape, case.channels))
    full[case.mask] = case.rows[1:]
    padded = np.pad(full, ((1, 1), (1, 1), (0, 0)))
    height, width = case.mask.shape
    total = np.zeros((len(case.rows) - 1, case.channels)) + case.bias
    for row in range(3):
        for column in range(3):
            near = padded[row : row + height, column : column + width][case.mask]
            total += near @ case.weight[:, :, row, column].T
    return np.maximum(total, 0.0)


def _product(emit: Emitter, near: str, matrix: np.ndarray, bias: np.ndarray) -> str:
    return emit.op("Relu", emit.op("Gemm", near, emit.const(matrix, np.float32), emit.const(bias, np.float32)))


def _blocks(emit: Emitter, table: str, case: PackingCase, columns: slice) -> str:
    matrix = case.matrix(columns)

    def block(part: str) -> str:
        near = emit.op("Reshape", emit.op("Gather", "rows", part), emit.const([-1, len(matrix)]))
        return _product(emit, near, matrix, case.bias)

    rows = emit.scan([(table, TensorProto.INT32, 2)], block)
    return emit.op("Reshape", rows, emit.const([-1, case.channels]))


def _blocked(table: np.ndarray) -> np.ndarray:
    """Reshape a table [n, k] to [blocks, rows, k].

    It is filled up with absent neighbours.
    """
    blocks = max(-(-len(table) // BLOCK), 1)
    rows = max(-(-len(table) // blocks), 1)
    filled = np.zeros((blocks * rows, table.shape[1]), np.int32)
    filled[: len(table)] = table
    return filled.reshape(blocks, rows, -1)


def open_packing(packing: Packing, case: PackingCase, threads: int) -> Callable[[], np.ndarray]:
    """Open a packing as a run that gives [n, D]."""
    emit, result, feeds = packing(case)
    types = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int32): TensorProto.INT32}
    inputs = [
        helper.make_tensor_value_info(name, types.get(value.dtype, TensorProto.INT64), value.shape)
        for name, value in feeds.items()
    ]
    output = helper.make_tensor_value_info(result, TensorProto.FLOAT, [None, case.channels])
    graph = helper.make_graph(emit.nodes, "packing", inputs, [output], emit.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return lambda: session.run(None, feeds)[0]


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure everything and return the report.

    Raises:
        GateError: a packing is wrong.
    """
    report = {"benchmark": "packings", **describe_run(arguments.threads), "channels": arguments.channels, "rows": []}
    for shape in arguments.masks:
        for density in arguments.densities:
            print_progress(f"{shape} {density:g}")
            case = PackingCase(arguments.channels, make_mask(shape, arguments.side, arguments.side, density, seed=1))
            runs, expected = {}, dense(case).astype(np.float32)
            for name, packing in PACKINGS.items():
                runs[name] = open_packing(packing, case, arguments.threads)
                require_equal(f"{name}, {shape} {density:g},", runs[name](), expected)
            times = take_turns(runs, arguments.repeat, warm_each=True)
            row = {"mask": shape, "density": density, "ms": {name: vars(value) for name, value in times.items()}}
            report["rows"].append(row)
    return report


def main() -> int:
    """Print the report.

    The exit status is 1 when a packing is wrong.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=parse_count, default=64)
    parser.add_argument("--side", type=parse_count, default=512, help="height and width in pixels, a multiple of 8")
    parser.add_argument("--densities", type=parse_shares, default="0.02,0.1,0.35")
    parser.add_argument("--masks", type=parse_names(tuple(SHAPES)), default="streak,blob,uniform")
    parser.add_argument("--threads", type=parse_count, default=2)
    parser.add_argument("--repeat", type=parse_count, default=9)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.side % TILE:
        parser.error(f"--side is {arguments.side}, expected a multiple of {TILE}")
    try:
        report = measure(arguments)
    except GateError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    show_run(report, {})
    show_table(
        ["mask", "density", *PACKINGS],
        [
            [row["mask"], f"{row['density']:.0%}", *(f"{row['ms'][name]['median']:.1f}" for name in PACKINGS)]
            for row in report["rows"]
        ],
    )
    if arguments.json:
        write_json(arguments.json, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Which packing of a submanifold 3x3 convolution is fastest in standard operators, by shape and density of the mask?

Run from the repository root: `python -m benchmarks.packings [--channels 64 --side 512 --json FILE]`. One layer with
bias and ReLU, features packed before and after, what depends on the mask alone (tables, lists) prepared outside, since
all layers of a scale share it. Every way is compared with the dense layer first.
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

from benchmarks.common.measuring import (
    describe_run,
    parse_count,
    parse_names,
    parse_shares,
    require_equal,
    say,
    show_run,
    show_table,
    take_turns,
    write_json,
)
from spair.export.packed.emit import Emitter
from spair.runtime.errors import GateError
from spair.runtime.profiling.masks import SHAPES, make_mask

BLOCK = 1024
"""Rows at a time, as `spair.export.packed.sites` has it."""
TILE = 8

Feeds = dict[str, np.ndarray]


class Layer:
    """Weights, a mask, and the packed input: row 0 is zeros, then one row for each distorted pixel, row-major."""

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
        """[n, 9] int32: rows of the neighbours, column by column; 0 where they are clean."""

    def matrix(self, columns: slice = slice(0, 3)) -> np.ndarray:
        """[3*columns*C, D], ordered as the table."""
        return self.weight[..., columns].transpose(3, 2, 1, 0).reshape(-1, self.channels)


Way = Callable[[Layer], tuple[Emitter, str, Feeds]]
"""Emits one way; gives the name of the result [n, D] and the inputs it needs."""


def rows_at_once(layer: Layer) -> tuple[Emitter, str, Feeds]:
    """All neighbours gathered, one product."""
    emit = Emitter("t")
    near = emit.op("Reshape", emit.op("Gather", "rows", "table"), emit.const([-1, 9 * layer.channels]))
    return emit, _product(emit, near, layer.matrix(), layer.bias), {"rows": layer.rows, "table": layer.table}


def rows_in_blocks(layer: Layer) -> tuple[Emitter, str, Feeds]:
    """The same, 1,024 rows at a time."""
    emit = Emitter("t")
    rows = _blocks(emit, "table", layer, slice(0, 3))
    real = emit.op("Slice", rows, emit.const([0]), emit.const([len(layer.table)]), emit.const([0]))
    return emit, real, {"rows": layer.rows, "table": _blocked(layer.table)}


def rows_by_columns(layer: Layer) -> tuple[Emitter, str, Feeds]:
    """The same, in four groups by the columns of neighbours that are all clean: what `PackSparse` emits."""
    emit, feeds = Emitter("t"), {"rows": layer.rows}
    left, right = layer.table[:, :3].any(1), layer.table[:, 6:].any(1)
    parts, order = [], []
    for number, (first, last) in enumerate(((1, 2), (0, 2), (1, 3), (0, 3))):
        mine = np.flatnonzero((left == (first == 0)) & (right == (last == 3)))
        order.append(mine)
        feeds[f"table{number}"] = _blocked(layer.table[mine, 3 * first : 3 * last])
        rows = _blocks(emit, f"table{number}", layer, slice(first, last))
        parts.append(emit.op("Slice", rows, emit.const([0]), emit.const([len(mine)]), emit.const([0])))
    joined = emit.op("Concat", *parts, axis=0)
    # Back to the order of the others for the comparison; a chain of layers keeps the groups, so it is not timed there.
    back = emit.const(np.argsort(np.concatenate(order)))
    return emit, emit.op("Gather", joined, back), feeds


def pairs_by_offset(layer: Layer) -> tuple[Emitter, str, Feeds]:
    """For each of the nine offsets: gather the rows that have that neighbour, multiply, add to where they belong."""
    emit, feeds = Emitter("t"), {"rows": layer.rows}
    shape = emit.const([len(layer.rows) - 1, layer.channels])
    total = emit.op("Expand", emit.const(layer.bias[None], np.float32), shape)
    for offset in range(9):
        out = np.flatnonzero(layer.table[:, offset])
        feeds[f"in{offset}"], feeds[f"out{offset}"] = layer.table[out, offset], out[:, None].astype(np.int64)
        weight = emit.const(layer.matrix()[offset * layer.channels : (offset + 1) * layer.channels], np.float32)
        product = emit.op("MatMul", emit.op("Gather", "rows", f"in{offset}"), weight)
        total = emit.op("ScatterND", total, f"out{offset}", product, reduction="add")
    return emit, emit.op("Relu", total), feeds


def tiles(layer: Layer) -> tuple[Emitter, str, Feeds]:
    """8x8 tiles that have a distorted pixel, each with a border of 1, through an ordinary convolution."""
    emit, channels = Emitter("t"), layer.channels
    height, width = layer.mask.shape
    numbers = np.zeros((height + 2, width + 2), np.int32)
    numbers[1:-1, 1:-1][layer.mask] = np.arange(1, len(layer.rows))
    active = layer.mask.reshape(height // TILE, TILE, width // TILE, TILE).any((1, 3))
    windows = np.lib.stride_tricks.sliding_window_view(numbers, (TILE + 2, TILE + 2))[::TILE, ::TILE][active]
    inner = windows[:, 1:-1, 1:-1].reshape(-1)
    position = np.zeros(len(layer.rows), np.int64)
    position[inner] = np.arange(inner.size)
    near = emit.op("Transpose", emit.op("Gather", "rows", "windows"), perm=[0, 3, 1, 2])  # [T,C,10,10]
    weight, bias = emit.const(layer.weight, np.float32), emit.const(layer.bias, np.float32)
    result = emit.op("Relu", emit.op("Conv", near, weight, bias))
    rows = emit.op("Reshape", emit.op("Transpose", result, perm=[0, 2, 3, 1]), emit.const([-1, channels]))
    feeds = {"rows": layer.rows, "windows": np.ascontiguousarray(windows), "position": position[1:]}
    return emit, emit.op("Gather", rows, "position"), feeds


WAYS: Mapping[str, Way] = {
    "rows at once": rows_at_once,
    "rows in blocks": rows_in_blocks,
    "blocks by columns": rows_by_columns,
    "pairs by offset": pairs_by_offset,
    "8x8 tiles": tiles,
}


def dense(layer: Layer) -> np.ndarray:
    """The layer on the whole map, in float64, as rows [n, D]."""
    full = np.zeros((*layer.mask.shape, layer.channels))
    full[layer.mask] = layer.rows[1:]
    padded = np.pad(full, ((1, 1), (1, 1), (0, 0)))
    height, width = layer.mask.shape
    total = np.zeros((len(layer.rows) - 1, layer.channels)) + layer.bias
    for row in range(3):
        for column in range(3):
            near = padded[row : row + height, column : column + width][layer.mask]
            total += near @ layer.weight[:, :, row, column].T
    return np.maximum(total, 0.0)


def _product(emit: Emitter, near: str, matrix: np.ndarray, bias: np.ndarray) -> str:
    return emit.op("Relu", emit.op("Gemm", near, emit.const(matrix, np.float32), emit.const(bias, np.float32)))


def _blocks(emit: Emitter, table: str, layer: Layer, columns: slice) -> str:
    matrix = layer.matrix(columns)

    def block(part: str) -> str:
        near = emit.op("Reshape", emit.op("Gather", "rows", part), emit.const([-1, len(matrix)]))
        return _product(emit, near, matrix, layer.bias)

    rows = emit.scan([(table, TensorProto.INT32, 2)], block)
    return emit.op("Reshape", rows, emit.const([-1, layer.channels]))


def _blocked(table: np.ndarray) -> np.ndarray:
    """[n, k] -> [blocks, rows, k], filled up with absent neighbours."""
    blocks = max(-(-len(table) // BLOCK), 1)
    rows = max(-(-len(table) // blocks), 1)
    filled = np.zeros((blocks * rows, table.shape[1]), np.int32)
    filled[: len(table)] = table
    return filled.reshape(blocks, rows, -1)


def open_way(way: Way, layer: Layer, threads: int) -> Callable[[], np.ndarray]:
    """A run that gives [n, D]."""
    emit, result, feeds = way(layer)
    types = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int32): TensorProto.INT32}
    inputs = [
        helper.make_tensor_value_info(name, types.get(value.dtype, TensorProto.INT64), value.shape)
        for name, value in feeds.items()
    ]
    output = helper.make_tensor_value_info(result, TensorProto.FLOAT, [None, layer.channels])
    graph = helper.make_graph(emit.nodes, "packing", inputs, [output], emit.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return lambda: session.run(None, feeds)[0]


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """The whole report; GateError when a way is wrong."""
    report = {"benchmark": "packings", **describe_run(arguments.threads), "channels": arguments.channels, "rows": []}
    for shape in arguments.masks:
        for density in arguments.densities:
            say(f"{shape} {density:g}")
            layer = Layer(arguments.channels, make_mask(shape, arguments.side, arguments.side, density, seed=1))
            runs, expected = {}, dense(layer).astype(np.float32)
            for name, way in WAYS.items():
                runs[name] = open_way(way, layer, arguments.threads)
                require_equal(f"{name}, {shape} {density:g},", runs[name](), expected)
            times = take_turns(runs, arguments.repeat, warm_each=True)
            row = {"mask": shape, "density": density, "ms": {name: vars(value) for name, value in times.items()}}
            report["rows"].append(row)
    return report


def main() -> int:
    """Print the report; the exit status is 1 when a way is wrong."""
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
        ["mask", "density", *WAYS],
        [
            [row["mask"], f"{row['density']:.0%}", *(f"{row['ms'][name]['median']:.1f}" for name in WAYS)]
            for row in report["rows"]
        ],
    )
    if arguments.json:
        write_json(arguments.json, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())

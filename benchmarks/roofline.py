"""Estimate the plugins' times on other GPUs; no measurement.

Run from the repository root: `python -m benchmarks.roofline [CHECKPOINT] [--precision fp16] [--json FILE]`. It takes
the bytes and multiply-adds of every launch of every layer (`cost.py` of each operator in `spair.plugins`) and divides
them by the GPU's nominal peaks (`benchmarks.subjects.gpus`). The longer of the two times is the least that the hardware
can take. Their sums are printed in milliseconds, for a picture under made masks, beside dense convolutions.

The sums are lower bounds of the time, and loose ones: `MEASURED` has the times of an H100. Launches have a cost of
their own, so their number is printed. Both sides leave out what runs between the operators: sums that are not fused,
concatenations, up-sampling. The dense side is taken at its best, with everything fused that can be. It takes under a
minute on two cores, most of it for the export, and needs no GPU.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common.arguments import parse_names, parse_shares, parse_size
from benchmarks.common.measuring import print_progress, show_table, write_json
from benchmarks.subjects.gpus import GPUS, Gpu, find_gpus
from benchmarks.subjects.layers import (
    Attention,
    DenseLayer,
    Modulation,
    Operator,
    list_dense,
    list_operators,
    make_engine_graph,
)
from spair.network import SPAIR, CheckpointError, load_checkpoint
from spair.network.spair import MULTIPLE, clean_grid, mask_pyramid
from spair.plugins.cost import Activity, Launch, NumberType, measure_activity
from spair.plugins.masked_modulation.cost import count_masked_modulation
from spair.plugins.sparse_conv2d.cost import count_dense_conv2d, count_sparse_conv2d
from spair.plugins.sparse_non_local.cost import count_dense_non_local, count_sparse_non_local
from spair.runtime import UserError
from spair.runtime.profiling.masks import SHAPES, make_mask

TILES = {"fp32": (64, 64, 16), "fp16": (64, 64, 32), "int8": (64, 64, 32)}
"""Pixels, output channels and input channels of a step of the convolution; the plugin compiler chooses them first."""
ESTIMATE = "ESTIMATE from nominal peaks (roofline), not a measurement"
MEASURED = """lower bounds: of the shipped `tiny` at 1920x1080 with streaks, an H100 took for Net_R's sparse layers in
FP16 8.8, 6.8, 6.2 and 6.1 times as long as this (densities 2, 10, 35 and 100 %), for the INT8 ones 13.7, 10.1, 9.3 and
9.3 times, for dense ones in FP16 5.1 times, so that ratios come out too high as well; docs/results/gpu.md"""
"""Factors from `python -m benchmarks.gpu.plugins`, over the sums of all layers; INT8 counts convolutions only."""


class ScaledMasks:
    """Made mask and its activity at every scale."""

    def __init__(self, shape: str, height: int, width: int, density: float, grid: int) -> None:
        full = torch.from_numpy(make_mask(shape, height, width, density, seed=1)).float()[None, None]
        self._scales = mask_pyramid(full)
        self.grid = grid
        self.densities = [float(mask.mean()) for mask in self._scales]
        self.activity = cache(self._measure)

    def _measure(self, scale: int, kernel: int = 1, clean_input: bool = False) -> Activity:
        mask: np.ndarray = self._scales[scale].numpy()
        return measure_activity(mask, kernel, clean_input=clean_input)

    def pixels(self, scale: int) -> int:
        """Return the number of pixels of a scale."""
        return self._scales[scale].numel()

    def clean_keys(self, scale: int) -> int:
        """Count the raster's cells that have a clean pixel."""
        mask = self._scales[scale]
        return int(clean_grid(mask, mask, self.grid)[1].sum())


def cost_sparse(operators: Sequence[Operator], masks: ScaledMasks, kind: NumberType) -> Iterator[Launch]:
    """Yield the launches of the plugins.

    INT8 convolutions read FP16, which becomes INT8 as it is gathered.
    """
    floats: NumberType = "fp16" if kind == "int8" else kind
    for operator in operators:
        if isinstance(operator, Modulation):
            yield from count_masked_modulation(1, masks.pixels(operator.scale), operator.channels, kind=floats)
        elif isinstance(operator, Attention):
            yield from count_sparse_non_local(
                masks.activity(operator.scale), [masks.clean_keys(operator.scale)], masks.grid**2, operator.channels,
                operator.outputs, kind=floats, clear_output=operator.clear_output,
            )  # fmt: skip
        else:
            yield from count_sparse_conv2d(
                masks.activity(operator.scale, operator.kernel, operator.clean_input), operator.channels,
                operator.outputs, operator.kernel, kind=kind, x_kind=floats, clean_input=operator.clean_input,
                residual=operator.residual, clear_output=operator.clear_output, tile=TILES[kind],
            )  # fmt: skip


def cost_dense(operators: Sequence[Operator], masks: ScaledMasks, kind: NumberType) -> Iterator[Launch]:
    """Yield the launches of the same operators on all pixels.

    Each operator is one launch, but the modulation takes the plugins' launches. INT8 convolutions write INT8.
    """
    floats: NumberType = "fp16" if kind == "int8" else kind
    for operator in operators:
        pixels = masks.pixels(operator.scale)
        if isinstance(operator, Modulation):
            yield from count_masked_modulation(1, pixels, operator.channels, kind=floats)
        elif isinstance(operator, Attention):
            keys = masks.grid**2
            yield count_dense_non_local(1, pixels, keys, operator.channels, operator.outputs, kind=floats)
        else:
            yield count_dense_conv2d(
                1, (pixels, pixels), operator.channels, operator.outputs, operator.kernel,
                kind=kind, out_kind=kind, residual=operator.residual,
            )  # fmt: skip


def cost_rest(layers: Sequence[DenseLayer], kind: NumberType) -> Iterator[Launch]:
    """Yield the launches of the ordinary convolutions.

    Both sides have them.
    """
    for layer in layers:
        yield count_dense_conv2d(1, layer.pixels, layer.channels, layer.outputs, layer.kernel, kind=kind, out_kind=kind)


def estimate(gpu: Gpu, launches: Iterable[Launch]) -> dict[str, float]:
    """Estimate the time of launches on a GPU.

    Returns {"ms", "memory_share", "launches"}. The second is the share of the time in launches that memory holds up.
    """
    total = memory = 0.0
    count = 0
    for launch in launches:
        seconds = gpu.seconds(launch.bytes, launch.products, launch.kind)
        total += seconds
        memory += seconds if gpu.seconds(launch.bytes, 0, launch.kind) == seconds else 0.0
        count += 1
    return {"ms": total * 1e3, "memory_share": memory / total if total else 0.0, "launches": count}


def estimate_all(model: SPAIR, operators: Sequence[Operator], arguments: argparse.Namespace) -> dict[str, Any]:
    """Estimate everything and return the report."""
    width, height = arguments.size
    rest = list(cost_rest(list_dense(model, height, width), arguments.precision))
    rows = []
    for density in arguments.densities:
        masks = ScaledMasks(arguments.mask, height, width, density, model.preset.grid)
        sparse = list(cost_sparse(operators, masks, arguments.precision))
        dense = list(cost_dense(operators, masks, arguments.precision))
        for gpu in find_gpus(arguments.gpus):
            parts = {"rest": estimate(gpu, rest), "dense": estimate(gpu, dense), "sparse": estimate(gpu, sparse)}
            rest_ms, dense_ms, sparse_ms = (part["ms"] for part in parts.values())
            rows.append(
                {
                    "gpu": gpu.name,
                    "density": density,
                    "densities": masks.densities,
                    **parts,
                    "operators_speedup": dense_ms / sparse_ms,
                    "network_speedup": (rest_ms + dense_ms) / (rest_ms + sparse_ms),
                }
            )
    return {
        "benchmark": "roofline",
        "estimate": ESTIMATE,
        "preset": model.preset.name,
        "size": [width, height],
        "mask": arguments.mask,
        "precision": arguments.precision,
        "gpus": [asdict(gpu) for gpu in find_gpus(arguments.gpus)],
        "rows": rows,
    }


def show(report: Mapping[str, Any]) -> None:
    """Print a report."""
    size = "x".join(map(str, report["size"]))
    print(f"{ESTIMATE}: no GPU was used")
    print(f"{report['preset']}, {size}, {report['precision']}, masks of shape {report['mask']}")
    print("milliseconds: the least that the hardware can take, at its nominal peaks")
    print(MEASURED)
    print(
        "Net_L: dense on both sides; Net_R: its operators, dense or through the plugins; in memory: the share of their"
    )
    print("sparse time that memory decides; launches: of the plugins, each of which costs some microseconds more\n")
    head = ["GPU", "density", "Net_L", "Net_R dense", "Net_R sparse", "x Net_R", "x network", "in memory", "launches"]
    table = []
    for row in report["rows"]:
        table.append(
            [row["gpu"], f"{row['density']:.0%}"]
            + [f"{row[part]['ms']:.2f}" for part in ("rest", "dense", "sparse")]
            + [f"{row['operators_speedup']:.2f}", f"{row['network_speedup']:.2f}"]
            + [f"{row['sparse']['memory_share']:.0%}", f"{row['sparse']['launches']:.0f}"]
        )
    show_table(head, table)


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, nargs="?", help="else the shipped rain-tiny")
    parser.add_argument("--size", type=parse_size, default="1920x1080", help="multiples of 8")
    parser.add_argument("--densities", type=parse_shares, default="0.02,0.1,0.35,1.0")
    parser.add_argument("--mask", choices=tuple(SHAPES), default="streak")
    parser.add_argument("--precision", choices=tuple(TILES), default="fp16")
    parser.add_argument("--gpus", type=parse_names(tuple(gpu.name for gpu in GPUS)), default="", help="else all")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args(words)
    if any(side % MULTIPLE for side in arguments.size):
        parser.error(f"--size must have multiples of {MULTIPLE}, to which the network pads, got {arguments.size}")
    return arguments


def main() -> int:
    """Print the report."""
    arguments = parse_arguments()
    try:
        with as_file(files("spair.network.weights") / "rain-tiny.safetensors") as shipped:
            model = load_checkpoint(arguments.checkpoint or shipped).model
    except (UserError, CheckpointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print_progress("exporting")
    report = estimate_all(model, list_operators(model, make_engine_graph(model)), arguments)
    show(report)
    if arguments.json:
        write_json(arguments.json, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())

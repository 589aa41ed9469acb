"""Estimate the plugins' times on other GPUs; no measurement.

Run from the repository root: `python -m benchmarks.roofline [CHECKPOINT] [--precision fp16] [--json FILE]`. The
launches of the network's layers are those of an engine's graph: a list of active pixels for each mask, and one launch
for each layer. Each takes a launch's cost, and then the longer of two times: that of its bytes at a share of the
bandwidth, and that of its instructions, which were counted in the machine code (docs/results/kernel-counts.json), at a
share of the multiprocessors' rate (`benchmarks.estimates.model`). The cost and the shares are fitted to the times that
an H100 took for the kernels of the first version (docs/results/h100.json). How far measured times lie from the fit,
below and above, is what the intervals are made of: an estimate has two sides, it is no bound.

Printed are milliseconds for a picture under made masks, beside dense convolutions, which are fitted to the same GPU's
cuDNN and carried over in two ways (`benchmarks.estimates.dense`); their interval holds both. Nothing ran on a GPU
since. That other GPUs reach the same shares is an assumption that no measurement confirms. Both sides leave out what
runs between the operators, such as the concatenations that dense layers read. It takes under a minute on two cores,
most of it for the export, and needs no GPU. `--fit` prints each measured time beside the model's instead.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from benchmarks.common.arguments import parse_names, parse_shares, parse_size
from benchmarks.common.measuring import print_progress, show_table, write_json
from benchmarks.estimates import h100
from benchmarks.estimates.dense import UNMEASURED
from benchmarks.estimates.fitted import Fitted, fit_h100, predict_dense, predict_sparse
from benchmarks.estimates.launches import TILES, ScaledMasks
from benchmarks.estimates.predictions import STAND_INS, Estimate, Estimator
from benchmarks.subjects.gpus import GPUS, find_gpus
from benchmarks.subjects.layers import Operator, export_network, list_dense, list_operators, rewrite
from benchmarks.subjects.quantized import quantize_network
from spair.network import SPAIR, CheckpointError, load_checkpoint
from spair.network.spair import MULTIPLE
from spair.runtime import UserError
from spair.runtime.profiling.masks import SHAPES

ESTIMATE = "ESTIMATE from counted instructions, fitted to an H100; not a measurement"


def estimate_all(model: SPAIR, operators: Sequence[Operator], arguments: argparse.Namespace) -> dict[str, Any]:
    """Estimate everything and return the report."""
    width, height = arguments.size
    dense_layers = list_dense(model, height, width)
    rows = []
    for density in arguments.densities:
        masks = ScaledMasks(arguments.mask, height, width, density, model.preset.grid)
        for gpu in find_gpus(arguments.gpus):
            estimator = Estimator(gpu)
            rest = estimator.rest(dense_layers, arguments.precision)
            dense = estimator.dense(operators, masks, arguments.precision)
            sparse = estimator.sparse(operators, masks, arguments.precision)
            rows.append(
                {
                    "gpu": gpu.name,
                    "density": density,
                    "densities": masks.densities,
                    **{name: asdict(part) for name, part in (("rest", rest), ("dense", dense), ("sparse", sparse))},
                    "operators_speedup": divide(dense, sparse),
                    "network_speedup": divide(rest + dense, rest + sparse),
                }
            )
    return {
        "benchmark": "roofline",
        "estimate": ESTIMATE,
        "preset": model.preset.name,
        "size": [width, height],
        "mask": arguments.mask,
        "precision": arguments.precision,
        "fit": describe_fit(fit_h100()),
        "gpus": [asdict(gpu) for gpu in find_gpus(arguments.gpus)],
        "rows": rows,
    }


def divide(slow: Estimate, fast: Estimate) -> dict[str, float]:
    """Divide two estimates.

    The ends of the ratio are where both are off to opposite sides.
    """
    return {
        "ratio": slow.ms / fast.ms,
        "low": slow.low_ms / fast.high_ms,
        "high": slow.high_ms / fast.low_ms,
    }


def describe_fit(fitted: Fitted) -> dict[str, Any]:
    """Describe the fit as JSON values.

    They are its numbers, and factors of measured times to the model's.
    """
    return {
        "launch_us": fitted.efficiency.launch * 1e6,
        "issue": fitted.efficiency.issue,
        "memory": fitted.efficiency.memory,
        "dense_shares": dict(fitted.shares.numbers),
        "dense_rates": dict(fitted.rates.numbers),
        "factors": {name: asdict(getattr(fitted, name)) for name in ("layers", "left_out", "network", "dense")},
    }


def show(report: Mapping[str, Any]) -> None:
    """Print a report."""
    size = "x".join(map(str, report["size"]))
    print(f"{ESTIMATE}: no GPU was used")
    print(f"{report['preset']}, {size}, {report['precision']}, masks of shape {report['mask']}")
    show_fit(report["fit"])
    print("milliseconds, from the smallest factor to the largest; ratios where both sides are off to opposite sides")
    print(
        "Net_L: dense on both sides; Net_R: its operators, dense or through the plugins; in memory: the share of their"
    )
    print("sparse time that memory decides\n")
    head = ["GPU", "density", "Net_L", "Net_R dense", "Net_R sparse", "x Net_R", "x network", "in memory", "launches"]
    table = []
    for row in report["rows"]:
        parts = [row[part] for part in ("rest", "dense", "sparse")]
        speedups = [row["operators_speedup"], row["network_speedup"]]
        table.append(
            [row["gpu"], f"{row['density']:.0%}"]
            + [show_interval(part["low_ms"], part["high_ms"]) for part in parts]
            + [show_interval(speedup["low"], speedup["high"]) for speedup in speedups]
            + [f"{row['sparse']['memory_share']:.0%}", f"{row['sparse']['launches']:.0f}"]
        )
    show_table(head, table)
    names = [gpu["name"] for gpu in report["gpus"] if gpu["architecture"] in STAND_INS]
    if names:
        print(f"\n{', '.join(names)}: their code is not understood, the instructions are those of sm_90")


def show_fit(fit: Mapping[str, Any]) -> None:
    """Print what was fitted, and how far it is off."""
    print(
        f"fit to an H100: {fit['launch_us']:.1f} us a launch, {fit['issue']:.0%} of the issue rate, "
        f"{fit['memory']:.0%} of the bandwidth"
    )
    dense = (
        f"{kind.upper()} {share:.0%} of the peaks or {fit['dense_rates'][kind]:.0f} multiply-adds a cycle"
        for kind, share in fit["dense_shares"].items()
        if kind not in UNMEASURED
    )
    print(f"dense layers: {', '.join(dense)} and multiprocessor; INT8 was not measured and has FP16's")
    words = {
        "layers": "sums of layers",
        "left_out": "those of a density or type for a fit to the others",
        "network": "whole networks, unseen",
        "dense": "dense",
    }
    factors = fit["factors"]
    print(
        "measured / model: "
        + "; ".join(f"{word} {factors[name]['low']:.2f} to {factors[name]['high']:.2f}" for name, word in words.items())
    )


def show_measured() -> None:
    """Print each time of the H100 beside the model's."""
    fitted = fit_h100()
    show_fit(describe_fit(fitted))
    head = [
        "kind",
        "part",
        "density",
        "sparse ms",
        "model",
        "measured / model",
        "dense ms",
        "model",
        "measured / model",
    ]
    table = []
    for row in (*h100.list_layers(), *h100.list_networks()):
        part = row.part if isinstance(row, h100.MeasuredLayers) else "x".join(map(str, row.size))
        sparse = predict_sparse(row, fitted.efficiency, fitted.shares) * 1e3
        dense = predict_dense(row, fitted.efficiency, fitted.shares) * 1e3
        numbers = (row.sparse_ms, sparse, row.sparse_ms / sparse, row.dense_ms, dense, row.dense_ms / dense)
        table.append([row.kind, part, f"{row.density:.1%}", *(f"{number:.2f}" for number in numbers)])
    print()
    show_table(head, table)


def show_interval(low: float, high: float) -> str:
    """Show both ends with three digits."""
    return f"{low:.3g} to {high:.3g}"


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, nargs="?", help="else the shipped rain-tiny")
    parser.add_argument("--size", type=parse_size, default="1920x1080", help="multiples of 8")
    parser.add_argument("--densities", type=parse_shares, default="0.02,0.1,0.35,1.0")
    parser.add_argument("--mask", choices=tuple(SHAPES), default="streak")
    parser.add_argument("--precision", choices=tuple(TILES), default="fp16")
    parser.add_argument("--gpus", type=parse_names(tuple(gpu.name for gpu in GPUS)), default="", help="else all")
    parser.add_argument("--fit", action="store_true", help="print measured times beside the model's")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args(words)
    if any(side % MULTIPLE for side in arguments.size):
        parser.error(f"--size must have multiples of {MULTIPLE}, to which the network pads, got {arguments.size}")
    return arguments


def main() -> int:
    """Print the report."""
    arguments = parse_arguments()
    if arguments.fit:
        show_measured()
        return 0
    try:
        with as_file(files("spair.network.weights") / "rain-tiny.safetensors") as shipped:
            model = load_checkpoint(arguments.checkpoint or shipped).model
    except (UserError, CheckpointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print_progress("exporting")
    graph = export_network(model)
    graph = quantize_network(graph) if arguments.precision == "int8" else graph
    report = estimate_all(model, list_operators(model, rewrite(graph)), arguments)
    show(report)
    if arguments.json:
        write_json(arguments.json, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())

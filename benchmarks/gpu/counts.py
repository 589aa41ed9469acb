"""Count instructions in the plugins' machine code, without a GPU.

    python -m benchmarks.gpu.counts [--architectures 80,87,90] [--json docs/results/kernel-counts.json]

Instructions of warps for each active pixel are counted in the machine code, for a sparse convolution of 3 x 3 from 64
to 64 channels: in the general kernel and in the one that a bundle with such a layer gets. Then the launches of a whole
picture, and the bytes that the layers between the plugins move, for the shipped network at 1920x1080; both follow from
the graph. Last the instructions of a tile of every kernel that the network runs in, for all GPUs of
`benchmarks.subjects.gpus`, which `benchmarks.roofline` reads, and from these the instructions of all convolutions of an
INT8 engine as a share of FP16's. Nothing is timed. Tests compare the file in docs/results with what is counted anew.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import importlib.metadata
import sys
from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import onnx

from benchmarks.common.arguments import parse_names
from benchmarks.common.measuring import print_progress, show_table, write_json
from benchmarks.estimates.counted import Tiles, choose_counted, count_kernel, read_tiles, write_tiles
from benchmarks.estimates.launches import ScaledMasks
from benchmarks.estimates.predictions import STAND_INS
from benchmarks.estimates.steps import list_steps
from benchmarks.gpu.harness.engines import list_network_layers
from benchmarks.subjects.gpus import GPUS
from benchmarks.subjects.layers import Operator, SparseLayer, export_network, list_operators, rewrite
from benchmarks.subjects.quantized import quantize_network
from spair.calibration.conversion.convert import convert
from spair.calibration.conversion.plan import PrecisionPlan
from spair.export.counts.layers import list_layers
from spair.export.counts.traffic import count_bytes_between, count_compactions, list_launches
from spair.export.engines.graph import rewrite_for_plugins
from spair.export.graphs import export_graph, spair_graphs
from spair.network import SPAIR, load_checkpoint
from spair.plugins.compiler.cache import Cache
from spair.plugins.compiler.kernels.compilation import Settings, compile_target
from spair.plugins.compiler.kernels.kernel import Kernel
from spair.plugins.compiler.kernels.variants import USUAL, Layer, Variant, list_variants
from spair.plugins.compiler.targets import TARGETS, Target
from spair.plugins.compiler.tools import choose_assembler, find_assemblers
from spair.plugins.cost import NumberType
from spair.plugins.errors import PluginError
from spair.runtime.bundle.engines import WHOLE
from spair.runtime.cache import cache_folder

SIZE = (1920, 1080)
"""Width and height of the picture whose bytes are counted."""
DENSITIES = (0.02, 0.1, 0.35, 1.0)
"""Shares of distorted pixels under which INT8 is compared with FP16."""
ARCHITECTURES = ("80", "87", "90")
"""Compute capabilities that are counted when none are named."""
LAYERS = (
    Layer("fp16", "fp16", "fp16", **USUAL),
    Layer("int8", "int8", "fp16", **USUAL),
    Layer("fp16", "int8", "fp16", **USUAL),
    Layer("int8", "int8", "fp16", **USUAL, gives="int8"),
    Layer("int8", "int8", "fp16", **USUAL, gives="both"),
)
"""Layers that are counted; the last two are those of engines in INT8, the third quantizes what it reads."""


def count_kernels(architectures: Sequence[int], settings: Settings) -> list[dict[str, Any]]:
    """Compile the kernels of `LAYERS` and count their instructions.

    Args:
        architectures: compute capabilities, 8.0 as 80.
        settings: number of processes, and the cache.

    Raises:
        PluginError: Triton or a ptxas is missing.
        RuleError: a kernel breaks a rule, its bound of instructions among them.
    """
    rows = []
    for architecture in architectures:
        target = Target("counts", "", (architecture,), min(architecture, 89), (12, 6), "x86_64", (10, 3), (2, 35))
        print_progress(f"compiling for sm_{architecture}")
        rows += [_describe(kernel) for kernel in compile_target(target, settings, variants=_choose(architecture))]
    return rows


def _choose(architecture: int) -> Any:
    """Return a function that lists the counted kernels.

    It lists none for other architectures, such as the target's fallback."""

    def list_counted(other: int) -> list[Variant]:
        if other != architecture:
            return []
        types = {layer.types for layer in LAYERS}
        return [
            variant
            for variant in list_variants(architecture, LAYERS)
            if variant.layer and variant.layer.types in types and "LINEAR" not in variant.layouts.values()
        ]

    return list_counted


def _describe(kernel: Kernel) -> dict[str, Any]:
    count = kernel.count
    assert count is not None, f"the code of {kernel.name} for sm_{kernel.architecture} is not understood"
    return {
        "name": kernel.name,
        "sm": kernel.architecture,
        "warp_instructions_per_pixel": round(count.per_pixel, 1),
        "tensor_share": round(count.tensor_share, 3),
        "conversions_in_main_loop": count.conversions,
        "loads_in_main_loop": count.loads,
        "spills": kernel.spills,
        "shared": kernel.shared + kernel.static_shared,
        "registers": kernel.registers,
    }


def count_network() -> dict[str, Any]:
    """Count launches and bytes of the shipped network."""
    print_progress("exporting")
    with as_file(files("spair.network.weights") / "rain-tiny.safetensors") as shipped:
        return count_graph(export_graph(spair_graphs(load_checkpoint(shipped).model)["model"]))


def count_graph(graph: onnx.ModelProto) -> dict[str, Any]:
    """Count launches and bytes of an engine's graph.

    The graph is rewritten in place, as for engines.
    """
    halves, _ = convert(graph, PrecisionPlan({}, "fp16"), WHOLE)
    for made in (graph, halves):
        rewrite_for_plugins(made)
    launches = list_launches(graph)
    return {
        "launches": len(launches),
        "compactions": count_compactions(launches),
        "bytes_between_plugins": {
            "fp32": count_bytes_between(graph, *SIZE),
            "fp16": count_bytes_between(halves, *SIZE),
        },
    }


def count_all(architectures: Sequence[int], settings: Settings) -> dict[str, Any]:
    """Count everything and return the report."""
    tiles = count_all_tiles(settings)
    with as_file(files("spair.network.weights") / "rain-tiny.safetensors") as shipped:
        model = load_checkpoint(shipped).model
    return {
        "benchmark": "instructions and launches of the plugins, counted, not timed",
        "triton": importlib.metadata.version("triton"),
        "ptxas": _read_release(),
        "kernels": count_kernels(architectures, settings),
        "network": count_network(),
        "tiles": tiles,
        "int8_per_fp16": compare_int8(
            model, export_network(model), {int(name): read_tiles(rows) for name, rows in tiles.items()}
        ),
    }


def list_counted(architecture: int, layers: Sequence[Layer]) -> list[Variant]:
    """List the kernels that pictures of the network run in."""
    return list(choose_counted(list_variants(architecture, layers)))


def count_tiles(architecture: int, variants: Sequence[Variant], settings: Settings) -> dict[str, list[float]]:
    """Compile kernels and count a tile of each.

    Those whose code is not understood are left out.

    Raises:
        PluginError, RuleError: see `count_kernels`.
    """
    target = next(target for target in TARGETS if architecture in target.architectures)
    target = dataclasses.replace(target, architectures=(architecture,))
    named = {variant.name: variant for variant in variants}
    kernels = compile_target(target, settings, variants=lambda other: list(variants) if other == architecture else [])
    counted = {kernel.name: count_kernel(kernel, named[kernel.name]) for kernel in kernels}
    return write_tiles({name: tile for name, tile in counted.items() if tile is not None})


def list_int8_layers(graph: onnx.ModelProto) -> list[Layer]:
    """List the layers that an engine in INT8 has."""
    quantized = quantize_network(graph)
    rewrite_for_plugins(quantized)
    return sorted(list_layers(quantized), key=lambda layer: layer.parts)


def count_all_tiles(settings: Settings) -> dict[str, dict[str, list[float]]]:
    """Count the network's kernels for the architectures of all estimates."""
    with as_file(files("spair.network.weights") / "rain-tiny.safetensors") as shipped:
        graph = export_graph(spair_graphs(load_checkpoint(shipped).model)["model"])
    layers = [*list_int8_layers(graph), *list_network_layers(graph)]
    found = {}
    for architecture in sorted({STAND_INS.get(gpu.architecture, gpu.architecture) for gpu in GPUS}):
        print_progress(f"compiling the network's kernels for sm_{architecture}")
        found[str(architecture)] = count_tiles(architecture, list_counted(architecture, layers), settings)
    return found


def compare_int8(model: SPAIR, graph: onnx.ModelProto, tiles: Mapping[int, Tiles]) -> dict[str, list[float]]:
    """Divide the instructions of INT8's convolutions by FP16's.

    Args:
        model: network.
        graph: its exported graph.
        tiles: counted tiles by architecture.

    Returns:
        The least and the largest ratio of a picture of `SIZE` under streaks of `DENSITIES`, by architecture.
    """
    halves = list_operators(model, rewrite(copy.deepcopy(graph)))
    integers = list_operators(model, rewrite(quantize_network(graph)))
    sizes = (SIZE[1], SIZE[0])
    scenes = [ScaledMasks("streak", *sizes, density, model.preset.grid) for density in DENSITIES]
    found = {}
    for architecture, counted in tiles.items():
        ratios = [
            sum_instructions(integers, scene, "int8", counted) / sum_instructions(halves, scene, "fp16", counted)
            for scene in scenes
        ]
        found[str(architecture)] = [round(min(ratios), 2), round(max(ratios), 2)]
    return found


def sum_instructions(operators: Sequence[Operator], masks: ScaledMasks, kind: NumberType, tiles: Tiles) -> float:
    """Add up the instructions of a picture's sparse convolutions."""
    layers = [operator for operator in operators if isinstance(operator, SparseLayer)]
    return sum(step.blocks * step.instructions for step in list_steps(layers, masks, kind, tiles))


def _read_release() -> str:
    return choose_assembler(90, (12, 6), find_assemblers()).release


def show(report: dict[str, Any]) -> None:
    """Print a report."""
    head = ["kernel", "sm", "instructions", "tensor", "divisions", "loads", "spills", "shared", "registers"]
    show_table(head, [[f"{value:.1%}" if key == "tensor_share" else str(value) for key, value in row.items()]
                      for row in report["kernels"]])  # fmt: skip
    network = report["network"]
    between = ", ".join(
        f"{count / 1e9:.2f} GB in {name.upper()}" for name, count in network["bytes_between_plugins"].items()
    )
    print(
        f"\na picture: {network['launches']} launches of plugins, {network['compactions']} of them list pixels; "
        f"between the plugins {between}, 1920x1080"
    )
    for architecture, (least, most) in report["int8_per_fp16"].items():
        print(f"sm_{architecture}: convolutions of INT8 issue {least} to {most} times the instructions of FP16's")


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", type=parse_names(ARCHITECTURES), default=",".join(ARCHITECTURES))
    parser.add_argument("--jobs", type=int, default=2, help="kernels compiled side by side")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args(words)


def main() -> int:
    """Print the counts."""
    arguments = parse_arguments()
    settings = Settings(arguments.jobs, Cache(cache_folder() / "builds"))
    try:
        report = count_all([int(name) for name in arguments.architectures], settings)
    except PluginError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    show(report)
    if arguments.json:
        write_json(arguments.json, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())

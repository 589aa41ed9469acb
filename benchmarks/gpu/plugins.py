"""Measure the plugins' kernels on the GPU, without TensorRT.

    python -m benchmarks.gpu.plugins --size 1920x1080 --json out.json

Layers: each layer of the shipped network runs through its plugin (FP32, FP16, and INT8 read from FP16), in two forms.
As engines have them, "listed", a layer is one launch that reads a list of active pixels and packed weights, and the
lists of the three scales are layers of their own; "other1" to "other3" are convolutions of this form in the tilings
among which `spair build --tune` chooses. "alone" stands for the first version: each layer packs its weights
and lists its pixels itself. A layer is compared with one plain cuDNN convolution of all pixels (INT8 with FP16), and
with the estimate of `benchmarks.roofline` for an H100 SXM. A plugin's time is the sum of its launches.

Network: plugins and PyTorch's functions run in one CUDA graph. They are compared with the same graph with the dense
definitions, masking included, and with the PyTorch module. This is the plugins under PyTorch, NOT under TensorRT, which
fuses the layers that it runs itself: the dense network of an engine is faster. FP32 is without TF32. The module in FP16
is timed only: its statistics leave the range of halves. Of the INT8 network only the plugins are what an engine runs:
PyTorch has no INT8 convolutions, and dense is FP16. docs/results/gpu.md has the times of an H100.

Nothing is timed before it was compared: a layer with its definition, the network with ONNX Runtime, and sparse with
dense. Times are medians of replayed CUDA graphs, between events. $SPAIR_GPU_LIBRARY, $SPAIR_GPU_HARNESS and
$SPAIR_GPU_BUNDLE name a library, a harness and a bundle that were built elsewhere.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import onnx
import torch

from benchmarks.common.arguments import parse_count, parse_names, parse_shares, parse_size
from benchmarks.common.measuring import show_table, write_json
from benchmarks.gpu.harness.engines import find_bundle
from benchmarks.gpu.harness.plugin_host import find_reason, open_host
from benchmarks.gpu.harness.plugin_layers import GPU, Scene, measure_layers
from benchmarks.gpu.harness.plugin_network import measure_network
from benchmarks.subjects.layers import Operator, SparseLayer, list_operators, rewrite
from spair.export.engines.tuning.tilings import list_alternatives
from spair.network import SPAIR, load_checkpoint
from spair.network.spair import MULTIPLE
from spair.plugins.errors import PluginError
from spair.runtime import Bundle
from spair.runtime.errors import GateError, UserError
from tests.plugins.emulated.plugin import PluginHost

CHECKPOINT = "rain-tiny.safetensors"
KINDS = ("fp32", "fp16", "int8")
FORMS = ("listed", "alone")
OTHERS = ("other1", "other2", "other3")
"""Forms that are convolutions in other tilings than the first choice."""
PARTS = ("layers", "network")


def measure(options: argparse.Namespace, report: dict[str, Any], folder: Path) -> None:
    """Fill the report row by row.

    The file is written after each row, so that what was measured stays when a later row fails or time runs out.

    Raises:
        UserError: a bundle or file does not open.
        PluginError: the plugin library cannot be built or loaded.
        GateError: a result is wrong.
    """
    host = open_host(folder)
    with as_file(files("spair.network.weights") / CHECKPOINT) as checkpoint:
        model = load_checkpoint(checkpoint).model
    bundle = Bundle.open(find_bundle())
    for part in options.parts:
        for row in MEASURED[part](host, bundle, model, options, folder):
            report[part].append(row)
            write_report(options, report)


def write_report(options: argparse.Namespace, report: dict[str, Any]) -> None:
    """Write the report with its sums to its file."""
    report["sums"] = sum_layers(report["layers"])
    if options.json:
        write_json(options.json, report)


def _layers(host: PluginHost, bundle: Bundle, model: SPAIR, options: argparse.Namespace, folder: Path) -> Any:
    graph = bundle.graph("fp32", "model")
    forms = {form: _list_form(model, graph, form) for form in options.forms}
    if set(OTHERS) & set(forms) and not list_alternatives(Path(host.driver.library._name).read_bytes()):
        raise UserError("the plugin library has no other tilings: build it with spair build --tune, or leave them out")
    grid = model.preset.grid
    scenes = [
        Scene(shape, options.size, density, grid)
        for shape in options.masks
        for density in options.densities
        if density < 1 or shape == options.masks[0]  # full masks have no shape
    ]
    return measure_layers(host, forms, scenes, options.kinds, options.repeat)


def _list_form(model: SPAIR, graph: Path, form: str) -> list[Operator]:
    """List the layers of a form."""
    layers = list_operators(model, rewrite(onnx.load(str(graph)), listed=form != "alone"))
    if form not in OTHERS:
        return layers
    other = OTHERS.index(form) + 1
    return [replace(layer, other=other) for layer in layers if isinstance(layer, SparseLayer) and layer.listed]


def _network(host: PluginHost, bundle: Bundle, model: SPAIR, options: argparse.Namespace, folder: Path) -> Any:
    sizes = sorted({(1280, 720), options.size}) if options.both else [options.size]
    return measure_network(host, bundle, model, sizes, options.kinds, options.repeat, folder)


MEASURED = {"layers": _layers, "network": _network}


def show_layers(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the layers' times."""
    print(f"\nlayers; estimate: of an {GPU}, from its other times and counted instructions")
    head = ["layer", "kind", "mask", "density", "sparse us", "dense us", "x", "estimate us", "estimate dense us"]
    table = []
    for row in rows:
        table.append(
            [f"{row['count']} x {row['layer']}", row["kind"], row["mask"], f"{row['density']:.1%}"]
            + [f"{row[name] * 1e3:.1f}" for name in ("sparse_ms", "dense_ms")]
            + [f"{row['speedup']:.2f}", *(_show_interval(row, name, 1e3) for name in ("model", "model_dense"))]
        )
    show_table(head, table)


def _show_interval(row: Mapping[str, Any], name: str, factor: float = 1.0) -> str:
    low, high = (row[f"{name}_{end}_ms"] * factor for end in ("low", "high"))
    return f"{low:.3g}..{high:.3g}"


SUMMED = ("sparse", "dense", *(f"{name}{end}" for name in ("model", "model_dense") for end in ("", "_low", "_high")))
"""First parts of the names of milliseconds that are added up."""


def sum_layers(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Add up all layers of a form, kind and mask.

    A sum has milliseconds sparse, dense, and by the estimate.
    """
    sums: dict[tuple[str, str, str, float], dict[str, Any]] = {}
    for row in rows:
        key = (row["form"], row["kind"], row["mask"], row["asked"])
        entry = sums.setdefault(key, dict(zip(("form", "kind", "mask", "asked"), key, strict=True)))
        for name in SUMMED:
            entry[f"{name}_ms"] = entry.get(f"{name}_ms", 0.0) + row["count"] * row[f"{name}_ms"]
    return list(sums.values())


def show_sums(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the sums of the layers."""
    print("\nall layers of Net_R together, ms (INT8: convolutions and their lists only)")
    head = ["form", "kind", "mask", "density", "sparse", "dense", "x", "estimate", "estimate dense"]
    table = [
        [
            *(row["form"], row["kind"], row["mask"], f"{row['asked']:.0%}"),
            *(f"{row['sparse_ms']:.3f}", f"{row['dense_ms']:.3f}", f"{row['dense_ms'] / row['sparse_ms']:.2f}"),
            *(_show_interval(row, name) for name in ("model", "model_dense")),
        ]
        for row in rows
    ]
    show_table(head, table)


def show_network(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the times of the whole network."""
    print("\nwhole network, ms: plugins under PyTorch, not TensorRT")
    for row in rows:
        if "gate" in row:
            print(
                f"{row['gate']} equals ONNX Runtime on the CPU: at most {row['most']:.1e} off, {row['mean']:.1e} in "
                f"the mean, {row['flipped']:.3%} of the mask other"
            )
    head = ["kind", "size", "density", "sparse", "dense", "module", "x dense", "x module", "mean error"]
    table = [
        [row["kind"], "x".join(map(str, row["size"])), f"{row['density']:.1%}"]
        + [f"{row[name]:.3f}" for name in ("sparse_ms", "dense_ms", "module_ms")]
        + [f"{row['speedup']:.2f}", f"{row['speedup_module']:.2f}", f"{row['mean_error']:.1e}"]
        for row in rows
        if "gate" not in row
    ]
    show_table(head, table)


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=parse_names(PARTS), default="layers,network", help="layers, network")
    parser.add_argument("--size", type=parse_size, default="1920x1080", help="WxH")
    parser.add_argument(
        "--both", action=argparse.BooleanOptionalAction, default=True, help="the network at 1280x720 too"
    )
    parser.add_argument("--densities", type=parse_shares, default="0.02,0.1,0.35,1.0", help="of the layers' masks")
    parser.add_argument("--masks", type=parse_names(("streak", "blob", "shadow", "uniform")), default="streak,blob")
    parser.add_argument("--kinds", type=parse_names(KINDS), default="fp32,fp16,int8", help="fp32, fp16, int8")
    parser.add_argument("--forms", type=parse_names((*FORMS, *OTHERS)), default="listed,alone", help="forms of layers")
    parser.add_argument("--repeat", type=parse_count, default=15, help="replays of each graph")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(words)
    if "layers" in options.parts and any(side % MULTIPLE for side in options.size):
        parser.error(f"--size must have multiples of {MULTIPLE} for layers, got {options.size}")
    return options


def main() -> int:
    """Print the tables, or the reason why nothing is measured."""
    options = parse_arguments()
    reason = find_reason()
    if reason is not None:
        print(f"nothing measured: {reason}", file=sys.stderr)
        return 0
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    device = torch.cuda.get_device_name()
    report: dict[str, Any] = {
        "benchmark": "plugins under PyTorch, not TensorRT", "device": device, "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version(), "size": list(options.size), "layers": [], "network": [],
    }  # fmt: skip
    code = 0
    try:
        with tempfile.TemporaryDirectory(prefix="spair-gpu-") as name:
            measure(options, report, Path(name))
    except (UserError, PluginError, GateError) as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1 if isinstance(error, GateError) else 2
    except KeyboardInterrupt:
        print("stopped: what was measured follows", file=sys.stderr)
        code = 130
    write_report(options, report)
    print(f"{device}, torch {torch.__version__}, cuDNN {report['cudnn']}, {'x'.join(map(str, options.size))}")
    for part, show in (("layers", show_layers), ("sums", show_sums), ("network", show_network)):
        if report[part]:
            show(report[part])
    return code


if __name__ == "__main__":
    sys.exit(main())

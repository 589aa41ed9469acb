"""`spair inspect`: what is in a bundle or a checkpoint, and whether it is whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from .shared.models import is_checkpoint
from .shared.names import find_bundle
from .shared.options import Json, Model
from .shared.output import deliver, working

if TYPE_CHECKING:
    from ..network import Preset
    from ..runtime import Bundle

EXAMPLES = """\b
Examples:
  spair inspect rain-tiny.spair
  spair inspect rain-tiny.safetensors --json
"""

SIDE = 256
"""Multiply-adds are counted on a square picture of this side and divided by its pixels."""


def inspect(model: Model, as_json: Json = False) -> None:
    """Show and verify a bundle or checkpoint.

    Prints task, size, work per pixel and precisions; every file's hash is checked.
    """
    model = find_bundle(model)
    with working("reading"):
        report = inspect_checkpoint(model) if is_checkpoint(model) else inspect_bundle(model)
    deliver(report, as_json, _show)


def inspect_checkpoint(path: Path) -> dict[str, Any]:
    """The report on a checkpoint.

    Raises:
        CheckpointError: see `load_checkpoint`.
    """
    from ..network import load_checkpoint
    from ..runtime.files import sha256

    loaded = load_checkpoint(path)
    return {
        "model": str(path),
        "kind": "checkpoint",
        "task": loaded.task,
        "preset": loaded.model.preset.name,
        **_cost(loaded.model.preset),
        "precisions": ["fp32"],
        "targets": [],
        "checks": {"keys": True, "finite": True},
        "sha256": sha256(path),
    }


def inspect_bundle(path: Path) -> dict[str, Any]:
    """The report on a bundle of either kind; opening it and hashing its files are the checks.

    Raises:
        UserError: see `Bundle.open`; a file whose hash is another than the manifest's.
    """
    from ..runtime import Bundle

    bundle = Bundle.open(path)
    manifest = bundle.manifest
    hashed = len(bundle.contents())
    parity = {key: manifest.parity.get(key) for key in ("cases", "max_abs", "mean_abs", "passed")}
    return {
        "model": str(path),
        "kind": manifest.kind,
        "task": manifest.task,
        "preset": manifest.preset,
        **_size(bundle),
        "precisions": list(bundle.precisions),
        "targets": list(manifest.targets),
        "operators": dict(manifest.operators),
        "opset": manifest.opset,
        "inputs": [dict(entry) for entry in manifest.inputs],
        "outputs": list(manifest.outputs),
        "checks": {"hashes": {"files": hashed, "passed": True}, "parity": parity},
        "checkpoint": dict(manifest.checkpoint),
        "tools": dict(manifest.tools),
    }


def _size(bundle: Bundle) -> dict[str, Any]:
    """Parameters and work of a bundle; null where the packages that count them, or the preset, are not at hand."""
    unknown = {"parameters": None, "parameters_by_block": None, "macs": None, "macs_share": None}
    if bundle.manifest.kind != "spair":
        return unknown | {"parameters": _graph_parameters(bundle)}
    fields = bundle.manifest.raw.get("preset_fields")
    if fields is None:
        return unknown
    try:
        from ..network import Preset
    except ImportError:  # a machine that only runs bundles
        return unknown
    return _cost(Preset.from_json(json.dumps(fields)))


def _graph_parameters(bundle: Bundle) -> int | None:
    """Values in the float tensors that the graph stores; they include constants that training does not touch."""
    with_model = [precision for precision in bundle.precisions if bundle.has_graph(precision, "model")]
    if not with_model:
        return None
    try:
        import onnx
    except ImportError:
        return None
    graph = onnx.load(str(bundle.graph(with_model[0], "model"))).graph
    floats = [tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT]
    return int(sum(_product(tensor.dims) for tensor in floats))


def _product(values: Any) -> int:
    result = 1
    for value in values:
        result *= value
    return result


def _cost(preset: Preset) -> dict[str, Any]:
    import torch

    from ..network import SPAIR
    from ..network.cost import multiply_adds, parameters_by_block

    with torch.device("meta"):
        sizes = parameters_by_block(SPAIR(preset))
    counts = multiply_adds(preset, SIDE, SIDE)
    return {
        "parameters": sizes["total"],
        "parameters_by_block": sizes,
        "macs": {name: round(count / SIDE**2, 1) for name, count in counts.items()},
        "macs_share": {name: round(count / counts["total"], 4) for name, count in counts.items()},
    }


def _show(report: dict[str, Any], console: Console) -> None:
    facts = Table.grid(padding=(0, 2))
    for key in ("kind", "preset", "task", "parameters"):
        value = report[key]
        facts.add_row(key, f"{value:,}" if isinstance(value, int) else str(value or "not known").replace("[", r"\["))
    facts.add_row("precisions", ", ".join(report["precisions"]))
    facts.add_row("targets", ", ".join(report["targets"]) or "none built")
    for name, check in report["checks"].items():
        facts.add_row(name, _describe(check))
    console.print(facts)
    if report["macs"]:
        table = Table("block", box=None, pad_edge=False)
        table.add_column("parameters", justify="right")
        table.add_column("multiply-adds per pixel", justify="right")
        table.add_column("share", justify="right")
        for name, count in report["macs"].items():
            size, share = report["parameters_by_block"][name], report["macs_share"][name]
            table.add_row(name, f"{size:,}", f"{count:,.0f}", f"{100 * share:.1f} %")
        console.print()
        console.print(table)


def _describe(check: Any) -> str:
    if not isinstance(check, dict):
        return "ok" if check else "failed"
    word = "ok" if check.get("passed") else "not passed"
    rest = ", ".join(f"{key} {value:.1e}" if isinstance(value, float) else f"{key} {value}"
                     for key, value in check.items() if key != "passed" and value is not None)  # fmt: skip
    return f"{word} ({rest})" if rest else word

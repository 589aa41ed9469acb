"""Checkpoint to bundle: export, count operators, prove parity, write; nothing is written unless all of it held."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import importlib.metadata
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

from ..network import SPAIR, load_checkpoint
from ..network.operators import SparseConv2d
from ..network.restoration import SparseNonLocalModule
from ..network.spair import MODULATED
from ..runtime.bundle.writer import check_target, write_bundle
from ..runtime.errors import GateError
from .foreign import ForeignInterface, foreign_spec, load_foreign, measure_reach
from .graphs import GraphSpec, export_graph, operator_counts, spair_graphs
from .operators.bodies import OPSET
from .packed.packing import PackSparse
from .parity.check import check_parity

Progress = Callable[[str], None]
PRECISION = "fp32"
TOOLS = ("torch", "onnx", "onnxscript", "onnxruntime", "spair-rt")


def export_checkpoint(
    checkpoint: Path,
    out: Path,
    *,
    preset: str | None = None,
    task: str | None = None,
    force: bool = False,
    progress: Progress = lambda step: None,
) -> dict[str, Any]:
    """Export a SPAIR checkpoint to a bundle.

    Args:
        checkpoint: see `load_checkpoint`.
        out: the bundle's folder, NAME.spair.
        preset: network size, where the file does not say.
        task: overrides the task that the file names.
        force: replace an existing bundle.
        progress: called with a few words before each step.

    Returns:
        The JSON of `spair export`.

    Raises:
        CheckpointError, UserError: the input is unusable; nothing was written.
        GateError: an operator got lost, or the graphs do not equal PyTorch; nothing was written.
    """
    check_target(out, force)
    progress("reading the checkpoint")
    loaded = load_checkpoint(checkpoint, preset=preset)
    task = task or loaded.task
    model = loaded.model
    fields = {
        "kind": "spair",
        "task": task,
        "preset": model.preset.name,
        "preset_fields": dataclasses.asdict(model.preset),
        "network": model.geometry(),
        "inputs": [{"name": "image", "channels": 3}],
        "outputs": ["restored", "mask"],
    }
    return _export(checkpoint, out, spair_graphs(model), fields, model, force, progress)


def export_foreign(
    checkpoint: Path,
    factory: str,
    out: Path,
    *,
    interface: ForeignInterface | None = None,
    task: str = "",
    force: bool = False,
    progress: Progress = lambda step: None,
) -> dict[str, Any]:
    """Export somebody else's network to a bundle; it has no `spair` operators and runs dense.

    Arguments, result and errors as in `export_checkpoint`; `factory` and `interface` as in `spair.export.foreign`.
    """
    check_target(out, force)
    interface = interface or ForeignInterface()
    progress("building the network")
    module = load_foreign(factory, checkpoint)
    spec = foreign_spec(module, interface)
    progress("measuring its reach")
    fields = {
        "kind": "foreign",
        "task": task,
        "preset": factory.rpartition(":")[2],
        "network": {
            "multiple": interface.multiple,
            "min_size": interface.min_size,
            "halo": measure_reach(module, interface),
        },
        "inputs": [{"name": name, "channels": channels} for name, channels in interface.inputs],
        "outputs": list(spec.outputs),
    }
    return _export(checkpoint, out, {"model": spec}, fields, None, force, progress)


def expected_operators(model: SPAIR) -> dict[str, int]:
    """How many nodes of each operator the whole network's graph must have, counted from its modules."""
    convolutions = sum(isinstance(module, SparseConv2d) for module in model.modules())
    return {
        "MaskedModulation": len(MODULATED),
        "SparseConv2d": convolutions - (not model.preset.gate_output),
        "SparseNonLocal": sum(isinstance(module, SparseNonLocalModule) for module in model.modules()),
    }


def _export(
    checkpoint: Path,
    out: Path,
    specs: dict[str, GraphSpec],
    fields: dict[str, Any],
    model: SPAIR | None,
    force: bool,
    progress: Progress,
) -> dict[str, Any]:
    graphs: dict[str, onnx.ModelProto] = {}
    for part, spec in specs.items():
        progress(f"exporting {part}")
        graphs[part] = export_graph(spec)
    operators = operator_counts([graphs["model"]])
    if model is not None and operators != expected_operators(model):
        raise GateError(f"the exported graph has the operators {operators}, the network {expected_operators(model)}")
    if "net_r" in graphs:
        progress("packing net_r")
        graphs["net_r_packed"] = copy.deepcopy(graphs["net_r"])
        PackSparse()(graphs["net_r_packed"])
        specs = {**specs, "net_r_packed": specs["net_r"]}
    with tempfile.TemporaryDirectory(prefix="spair-export-") as folder:
        files = {part: Path(folder) / f"{part}.onnx" for part in graphs}
        for part, graph in graphs.items():
            onnx.save(graph, files[part])
        parity = check_parity(specs, files, model, progress)
        if not parity["passed"]:
            raise GateError(
                f"the exported graphs differ from PyTorch by {parity['max_abs']:.2e}, "
                f"allowed {parity['tolerance']:.0e}; by module: {_worst(parity)}"
            )
        progress("writing the bundle")
        parts = {part: f"graphs/{PRECISION}/{part}.onnx" for part in graphs}
        manifest = {
            **fields,
            "name": out.name.removesuffix(".spair"),
            "checkpoint": {
                "name": checkpoint.name,
                "sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
            },
            "graphs": {PRECISION: parts},
            "operators": operators,
            "opset": OPSET,
            "parity": parity,
            "tools": _tool_versions(),
        }
        write_bundle(out, manifest, {parts[part]: file for part, file in files.items()}, force=force)
    keys = ("task", "preset", "opset", "operators", "parity")
    return {"bundle": str(out), **{key: manifest[key] for key in keys}}


def _worst(parity: dict[str, Any]) -> str:
    return ", ".join(
        f"{part} {max(result[where]['max_abs'] for where in ('masked', 'clean')):.2e}"
        + (f" ({result['problem']})" if result["problem"] else "")
        for part, result in parity["modules"].items()
    )


def _tool_versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name).partition("+")[0] for name in TOOLS}

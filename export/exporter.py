"""Export of a checkpoint to a bundle.

Graphs are exported, their operators are counted, and their results are compared with PyTorch. The bundle is written
only if all of this succeeds.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib.metadata
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from ..network import SPAIR, load_checkpoint
from ..network.files.choosing import Choice
from ..network.operators import SparseConv2d
from ..network.restoration import SparseNonLocalModule
from ..network.spair import MODULATED
from ..runtime.bundle.writer import Content, check_target, write_bundle
from ..runtime.clock import ReportProgress
from ..runtime.errors import GateError
from ..runtime.files import sha256
from ..temporary.places import scratch_folder
from .catalogue import recognise_network
from .description import describe_network
from .foreign import Adaptation, ForeignInterface, adapt, build_network, fill_network
from .forms import find_form
from .graphs import GraphSpec, export_graph, operator_counts, spair_graphs
from .operators.bodies import OPSET
from .packed.packing import PackSparse
from .parity.check import check_parity
from .rows.bundle import FILES
from .rows.program import make_row_program

PRECISION = "fp32"
"""Precision of exported graphs."""
TOOLS = ("torch", "onnx", "onnxscript", "onnxruntime", "spair-rt")
"""Packages whose versions the manifest states."""


def export_checkpoint(
    checkpoint: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    preset: str | None = None,
    key: str | None = None,
    task: str | None = None,
    force: bool = False,
    progress: ReportProgress = lambda step: None,
) -> dict[str, Any]:
    """Export a SPAIR checkpoint to a bundle.

    Args:
        checkpoint: see `load_checkpoint`.
        out: the bundle's folder, NAME.spair.
        preset: network size, where the file does not name it.
        key: dotted name of the dictionary that holds the weights; None to find them.
        task: overrides the task that the file names.
        force: replace an existing bundle.
        progress: called before each step.

    Returns:
        The JSON of `spair export`.

    Raises:
        CheckpointError, UserError: the input is unusable; nothing was written.
        GateError: an operator is missing, or the graphs do not equal PyTorch; nothing was written.
    """
    checkpoint, out = Path(checkpoint), Path(out)
    check_target(out, force)
    progress("reading the checkpoint")
    loaded = load_checkpoint(checkpoint, preset=preset, key=key)
    model = loaded.model
    fields = {
        "kind": "spair",
        "task": task or loaded.task,
        "preset": model.preset.name,
        "preset_fields": dataclasses.asdict(model.preset),
        "network": model.geometry(),
        "inputs": [{"name": "image", "channels": 3}],
        "outputs": ["restored", "mask"],
    }
    return _export(_Job(checkpoint, out, spair_graphs(model), fields, model, loaded.choice, force, progress))


def export_foreign(
    checkpoint: str | os.PathLike[str],
    factory: str,
    out: str | os.PathLike[str],
    *,
    interface: ForeignInterface | None = None,
    key: str | None = None,
    task: str = "",
    force: bool = False,
    progress: ReportProgress = lambda step: None,
) -> dict[str, Any]:
    """Export another network's checkpoint to a bundle.

    The network has no `spair` operators and runs dense. `factory` and `interface` are explained in
    `spair.export.foreign`; the other arguments, the result and the errors are those of `export_checkpoint`.
    """
    checkpoint, out = Path(checkpoint), Path(out)
    check_target(out, force)
    progress("building the network")
    module = build_network(factory)
    choice = fill_network(module, checkpoint, key=key)
    fields = {"kind": "foreign", "task": task, "preset": factory.rpartition(":")[2]}
    job = _Job(checkpoint, out, {}, fields, None, choice, force, progress)
    return _export_adapted(job, adapt(module, interface or ForeignInterface()))


def export_known(
    checkpoint: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    said: Mapping[str, Any] | None = None,
    key: str | None = None,
    task: str = "",
    force: bool = False,
    progress: ReportProgress = lambda step: None,
) -> dict[str, Any]:
    """Export a checkpoint whose network is recognised.

    Args:
        checkpoint: see `recognise_network`.
        out: see `export_checkpoint`.
        said: fields of `ForeignInterface` that replace what is known of the network.
        key: see `export_checkpoint`.
        task: see `export_checkpoint`.
        force: see `export_checkpoint`.
        progress: see `export_checkpoint`.

    Returns:
        The JSON of `spair export`, with what was recognised under "recognised".

    Raises:
        CheckpointError, UserError: the input is unusable, or no network fits; nothing was written.
        GateError: see `export_checkpoint`.
    """
    checkpoint, out = Path(checkpoint), Path(out)
    check_target(out, force)
    progress("recognising the network")
    known, choice = recognise_network(checkpoint, key=key)
    interface = known.make_interface(**(said or {}))
    fields = {"kind": "foreign", "task": task, "preset": known.name}
    job = _Job(checkpoint, out, {}, fields, None, choice, force, progress)
    report = _export_adapted(job, adapt(known.module, interface))
    return {**report, "recognised": known.to_json(), "notes": [*known.notes, *report["notes"]]}


def _export_adapted(job: _Job, adaptation: Adaptation) -> dict[str, Any]:
    """Export an adapted network, and write the bundle."""
    interface, progress = adaptation.interface, job.progress
    with scratch_folder("export") as folder:
        form = find_form(adaptation, folder, progress)
        progress("measuring its reach")
        network, reach = describe_network(adaptation, form)
        found = {
            "network": network,
            "inputs": [{"name": interface.inputs[0][0], "channels": interface.channels}],
            "outputs": list(adaptation.outputs),
        }
        job = dataclasses.replace(job, fields={**job.fields, **found})
        progress("writing the bundle")
        parts = {part: f"graphs/{PRECISION}/{part}.onnx" for part in form.graphs}
        manifest = _make_manifest(job, parts, operator_counts([form.graphs["model"]]), form.parity)
        write_bundle(job.out, manifest, {parts[part]: file for part, file in form.files.items()}, force=job.force)
    notes = [*adaptation.notes, f"it takes {form.name}", *form.notes]
    if reach.whole:
        notes.append(f"it must see a picture whole, because {reach.unlimited}")
    return {**_report(job, manifest), "reach": manifest["network"]["reach"], "notes": notes}


def expected_operators(model: SPAIR) -> dict[str, int]:
    """Count the operators that a network's graph must have.

    They are counted from the network's modules.
    """
    convolutions = sum(isinstance(module, SparseConv2d) for module in model.modules())
    return {
        "MaskedModulation": len(MODULATED),
        "SparseConv2d": convolutions - (not model.preset.gate_output),
        "SparseNonLocal": sum(isinstance(module, SparseNonLocalModule) for module in model.modules()),
    }


@dataclasses.dataclass(frozen=True)
class _Job:
    """Export of one network."""

    checkpoint: Path
    out: Path
    specs: dict[str, GraphSpec]
    """Graphs to export, by part."""
    fields: dict[str, Any]
    """Entries of the manifest that describe the network."""
    model: SPAIR | None
    """The network; None for a foreign one."""
    choice: Choice
    force: bool
    progress: ReportProgress


def _export(job: _Job) -> dict[str, Any]:
    specs, graphs = _export_graphs(job)
    operators = operator_counts([graphs["model"]])
    with scratch_folder("export") as folder:
        files = {part: folder / f"{part}.onnx" for part in graphs}
        for part, graph in graphs.items():
            onnx.save(graph, files[part])
        parity = check_parity(specs, files, job.model, job.progress)
        _require_parity(parity)
        job.progress("writing the bundle")
        parts = {part: f"graphs/{PRECISION}/{part}.onnx" for part in graphs}
        rows = _make_rows(job, graphs)
        manifest = _make_manifest(job, parts, operators, parity)
        if rows:
            manifest["rows"] = {PRECISION: {what: f"graphs/{PRECISION}/{FILES[what]}" for what in rows}}
        contents: dict[str, Content] = {parts[part]: file for part, file in files.items()}
        contents |= {f"graphs/{PRECISION}/{FILES[what]}": content for what, content in rows.items()}
        write_bundle(job.out, manifest, contents, force=job.force)
    return _report(job, manifest)


def _report(job: _Job, manifest: dict[str, Any]) -> dict[str, Any]:
    keys = ("task", "preset", "opset", "operators", "parity")
    return {"bundle": str(job.out), **{key: manifest[key] for key in keys}, "weights": job.choice.to_json()}


def _export_graphs(job: _Job) -> tuple[dict[str, GraphSpec], dict[str, onnx.ModelProto]]:
    """Export the graphs of a job, and pack Net_R.

    Returns:
        Specs and graphs by part. The packed graph has the spec of the dense one.

    Raises:
        GateError: a graph has more or fewer operators than the network.
    """
    graphs: dict[str, onnx.ModelProto] = {}
    for part, spec in job.specs.items():
        job.progress(f"exporting {part}")
        graphs[part] = export_graph(spec)
    operators = operator_counts([graphs["model"]])
    if job.model is not None and operators != expected_operators(job.model):
        expected = expected_operators(job.model)
        raise GateError(f"the exported graph has the operators {operators}, the network {expected}")
    if "net_r" not in graphs:
        return job.specs, graphs
    job.progress("packing net_r")
    graphs["net_r_packed"] = copy.deepcopy(graphs["net_r"])
    PackSparse()(graphs["net_r_packed"])
    return {**job.specs, "net_r_packed": job.specs["net_r"]}, graphs


def _make_rows(job: _Job, graphs: dict[str, onnx.ModelProto]) -> dict[str, bytes]:
    """Return the files of the row program.

    They are empty for a network that has none: a foreign one, or one that changes clean pixels.

    Raises:
        PassError: the graphs of a network that keeps clean pixels have no form on rows.
    """
    if job.model is None or not job.model.preset.gate_output:
        return {}
    job.progress("making the row program")
    program = make_row_program(graphs["net_l"], graphs["net_r"], job.fields["network"]["scales"])
    return dict(zip(FILES, program.to_files(), strict=True))


def _require_parity(parity: dict[str, Any]) -> None:
    if not parity["passed"]:
        raise GateError(
            f"the exported graphs differ from PyTorch by {parity['max_abs']:.2e}, "
            f"allowed {parity['tolerance']:.0e}; by module: {_worst(parity)}"
        )


def _make_manifest(
    job: _Job, parts: dict[str, str], operators: dict[str, int], parity: dict[str, Any]
) -> dict[str, Any]:
    return {
        **job.fields,
        "name": job.out.name.removesuffix(".spair"),
        "checkpoint": {
            "name": job.checkpoint.name,
            "sha256": sha256(job.checkpoint),
        },
        "graphs": {PRECISION: parts},
        "operators": operators,
        "opset": OPSET,
        "parity": parity,
        "tools": _tool_versions(),
    }


def _worst(parity: dict[str, Any]) -> str:
    return ", ".join(
        f"{part} {max(result[where]['max_abs'] for where in ('masked', 'clean')):.2e}"
        + (f" ({result['problem']})" if result["problem"] else "")
        for part, result in parity["modules"].items()
    )


def _tool_versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name).partition("+")[0] for name in TOOLS}

"""Build of a target's part of a bundle.

The part is the plugin library, the report on its kernels, and the engines with their keys.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from ...plugins.compiler.build import Build, build_plugins, take_library
from ...plugins.compiler.cache import Cache
from ...plugins.compiler.kernels.compilation import Settings
from ...plugins.compiler.kernels.variants import list_variants
from ...plugins.compiler.targets import Target, find_target
from ...runtime.bundle.engines import WHOLE
from ...runtime.bundle.reader import Bundle
from ...runtime.bundle.writer import check_extendable, extend_bundle
from ...runtime.cache import cache_folder
from ...runtime.clock import ReportProgress, format_seconds
from ...runtime.errors import GateError, UserError
from ...runtime.files import sha256
from ...runtime.trust import trust_digests
from ..counts.layers import list_layers
from ..counts.traffic import count_bytes_between, list_launches
from ..operators.table import DOMAIN
from .collection import Circumstances, TargetFiles, collect_target
from .gate.staging import gate_target
from .graph import prepare_engine_graph
from .local import LOCAL, advise_library, make_local_target
from .options import EngineOptions
from .packages import ElsewhereError, builder_of, find_obstacle

ONLY_NAMED = "int8"
"""Precision whose engines are built only when it is named, for targets with one of `NOT_FEWER`."""
NOT_FEWER = {
    90: "issue 1.05 to 1.07 times the instructions of FP16's",
    100: "could not be counted beside FP16's",
    110: "could not be counted beside FP16's",
}
"""Finding on INT8's sparse layers by architecture, where they were not counted to issue fewer instructions."""
CODE = (".so", ".engine")
"""Suffixes of files that run as code."""
WHY_NAMED = (
    "no int8 engine was built: for sm_{architecture} its sparse layers {finding}, and on an H100 older ones took "
    "1.1 to 1.5 times as long as FP16's; add --precision int8 to build it"
)


def build_target(
    path: Path,
    name: str,
    options: EngineOptions | None,
    *,
    precisions: Sequence[str] = (),
    library: Path | None = None,
    served: bool = False,
    tuned: bool = False,
    jobs: int | None = None,
    cache: bool = True,
    timeout: float | None = None,
    expect_digest: Collection[str] = (),
    progress: ReportProgress = lambda step: None,
    announce: ReportProgress = lambda sentence: None,
) -> dict[str, Any]:
    """Build a target's plugins and engines into a bundle.

    All that can be refused is checked before minutes of compiling, and a failure leaves the bundle as it was.

    Args:
        path: the bundle's folder.
        name: name of the target; "local" is this machine with its own GPU.
        options: how engines are built; None: the library alone.
        precisions: see `check_operators`.
        library: plugin library that was built for the target before; None: it is compiled.
        served: build the engine of the served contract too, for Triton Inference Server.
        tuned: compile several tilings of each layer, time them where engines are built, and take the fastest.
        jobs: kernels compiled side by side; None: as many as the machine has cores.
        cache: use and keep what was compiled before.
        timeout: seconds for each engine; None for no limit.
        expect_digest: see `Bundle.open`.
        progress: called before each step.
        announce: called with the estimate of how long the engines take.

    Returns:
        The JSON of `spair build`.

    Raises:
        UserError, PluginError: the bundle, the target or a tool cannot be used.
        GateError, RuleError: an engine or a kernel is not as it must be.
    """
    bundle = Bundle.open(path, expect_digest=expect_digest)
    target = make_local_target(str(path)) if name == LOCAL else find_target(name)
    chosen = check_operators(bundle, precisions, target)
    check_extendable(bundle)
    check_builder(target, str(path), options, library)
    check_tunable(target, tuned)
    around = Circumstances(Cache(cache_folder() / "builds" if cache else None), timeout, progress, announce)
    progress(f"building for {target.name}")
    graphs = {precision: _load_graph(bundle, precision) for precision in chosen}
    build = take_library(library, target) if library else _compile_plugins(target, graphs.values(), jobs, around, tuned)
    found = collect_target(bundle, target, build, chosen, options, around, served=served, tuned=tuned)
    reason = explain_named(target)
    if reason and ONLY_NAMED in bundle.precisions and ONLY_NAMED not in chosen and options is not None:
        found.notes.append(reason)
    pass_gate(bundle, target, found, options, around)
    progress("writing the bundle")
    trust_code(found)
    write_target(bundle, target, found)
    size = (options or EngineOptions()).largest
    return {**_report(bundle, target, build, found), **_count_graphs(graphs, size)}


def _load_graph(bundle: Bundle, precision: str) -> onnx.ModelProto:
    """Load the whole network's graph as engines run it."""
    return onnx.load_from_string(prepare_engine_graph(bundle.graph(precision, WHOLE)))


def _count_graphs(graphs: Mapping[str, onnx.ModelProto], size: tuple[int, int]) -> dict[str, dict[str, int]]:
    """Count launches and bytes by precision for the report."""
    return {
        "launches": {precision: len(list_launches(graph)) for precision, graph in graphs.items()},
        "bytes_between_plugins": {precision: count_bytes_between(graph, *size) for precision, graph in graphs.items()},
    }


def _compile_plugins(
    target: Target, graphs: Iterable[onnx.ModelProto], jobs: int | None, around: Circumstances, tuned: bool
) -> Build:
    """Compile the plugin library after an estimate of the time.

    The layers of the graphs get kernels of their own, and alternatives to them where tilings are tuned.
    """
    layers = frozenset(layer for graph in graphs for layer in list_layers(graph))
    variants = functools.partial(list_variants, layers=layers, alternatives=tuned)
    architectures = sorted({*target.architectures, target.fallback})
    count = sum(len(variants(architecture)) for architecture in architectures)
    names = ", ".join(f"sm_{architecture}" for architecture in architectures)
    before = around.times.find(f"plugins: {names}")
    around.announce(
        f"{count} kernels to compile for {names}, as far as the cache has not got them; "
        + ("no such build was measured here" if before is None else f"at most {format_seconds(before)} by earlier ones")
    )
    start = time.monotonic()
    settings = Settings(jobs or os.cpu_count() or 1, around.cache)
    build = build_plugins(target, settings, variants=variants, progress=around.progress)
    around.times.keep(f"plugins: {names}", max(time.monotonic() - start, before or 0.0))
    return build


def _report(bundle: Bundle, target: Target, build: Build, found: TargetFiles) -> dict[str, Any]:
    def locate(engine: dict[str, Any]) -> dict[str, Any]:
        parts = {name: locate(part) for name, part in engine.get("parts", {}).items()}
        return {**engine, "path": str(bundle.path / engine["path"]), **({"parts": parts} if parts else {})}

    return {
        "target": target.name,
        "library": str(bundle.path / found.entry["library"]),
        "architectures": list(build.label.architectures),
        "fallback": build.label.fallback,
        "operators": dict(bundle.manifest.operators),
        "engines": [locate(engine) for engine in found.engines],
        "gate": found.gates,
        "tuned": found.tuned,
        "estimate": found.estimate.to_json() if found.estimate else None,
        "on_target": list(found.commands),
        "install": str(bundle.path / found.entry["install"]) if "install" in found.entry else None,
        "notes": list(found.notes),
        "kernels": list(build.report["kernels"]) if build.report else [],
    }


def explain_named(target: Target) -> str | None:
    """Say why INT8 engines must be named for a target.

    None says that they are built unasked.
    """
    found = [one for one in target.architectures if one in NOT_FEWER]
    return WHY_NAMED.format(architecture=found[0], finding=NOT_FEWER[found[0]]) if found else None


def check_operators(bundle: Bundle, precisions: Sequence[str], target: Target) -> tuple[str, ...]:
    """Return the precisions to build.

    Args:
        bundle: the bundle to build from.
        precisions: names of precisions; empty: all for which the bundle has the graph, but INT8 for targets with one of
            `NOT_FEWER` only where there is no other.
        target: the machine to build for.

    Raises:
        UserError: the bundle has no nodes of the domain `spair` or no such precision, or its graph was changed or is
            one of an older version.
    """
    if not bundle.manifest.operators:
        raise UserError(
            f"the bundle {bundle.path} has no nodes of domain {DOMAIN}, so there is nothing for the plugins to do; "
            "spair build is for SPAIR networks"
        )
    every = [name for name in bundle.precisions if bundle.has_graph(name, WHOLE)]
    usual = [name for name in every if name != ONLY_NAMED or explain_named(target) is None] or every
    chosen = tuple(dict.fromkeys(precisions)) or tuple(usual)
    for precision in chosen:
        bundle.check_whole(precision)
    return chosen


def check_builder(target: Target, model: str, options: EngineOptions | None, library: Path | None) -> None:
    """Refuse a build that this machine cannot make.

    Where another machine has to build the engines, nothing is refused: the library is compiled for it.

    Args:
        target: the machine to build for.
        model: name of the bundle for messages.
        options: how engines are built; None: the library alone.
        library: plugin library that was built before; None: it is to be compiled.

    Raises:
        UserError: the package for TensorRT-RTX engines is missing; TensorRT or the driver is too old; the target is
            this machine, which cannot compile plugins.
    """
    if target.name == LOCAL and library is None:
        advice = advise_library(target, model)
        if advice is not None:
            raise UserError(advice)
    if options is None:
        return
    try:
        builder_of(target)
    except ElsewhereError:
        if target.rtx:
            raise


def check_tunable(target: Target, tuned: bool) -> None:
    """Refuse tuning for engines that need no GPU.

    Raises:
        UserError: tilings are to be timed, and the target's engines are those of TensorRT-RTX.
    """
    if tuned and target.rtx:
        other = "install TensorRT" if target.name == LOCAL else "build for the GPU of this machine with --target local"
        raise UserError(
            "--tune times layers on the GPU that builds the engines, and those of TensorRT-RTX are built without one; "
            f"leave --tune out, or {other}"
        )


def pass_gate(
    bundle: Bundle, target: Target, found: TargetFiles, options: EngineOptions | None, around: Circumstances
) -> None:
    """Compare the engines with the CPU, and add the results.

    Engines that were built ahead of time for another machine cannot run; a note says so.

    Raises:
        GateError: an engine does not restore pictures as ONNX Runtime does.
    """
    if options is None or not found.engines:
        return
    obstacle = find_obstacle(target)
    if obstacle is not None:
        found.notes.append(f"the engines are not gated: {obstacle}, so they were not compared with ONNX Runtime")
        return
    try:
        reports = gate_target(
            bundle,
            target.name,
            found.entry,
            found.files,
            package=builder_of(target)[0],
            largest=options.largest,
            timeout=around.timeout,
            progress=around.progress,
        )
    except GateError:
        for digest in found.digests:  # else the next build would take the same engines
            around.cache.drop(digest)
        raise
    for report in reports:
        found.gates[report.precision] = report.to_json()
        name = f"engines/{target.name}/{report.precision}.gate.json"
        found.files[name] = (json.dumps(report.to_json(), indent=1) + "\n").encode()
        found.entry["engines"][report.precision]["gate"] = name


def trust_code(found: TargetFiles) -> None:
    """Let the libraries and engines of a build run here.

    What this machine built may run on it. The digests are those of the contents at hand, whatever lies in the bundle
    later.

    Raises:
        UserError: the list of trusted code cannot be written.
    """
    code = {name: content for name, content in found.files.items() if Path(name).suffix in CODE}
    trust_digests(
        {
            hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else sha256(content): Path(name).name
            for name, content in code.items()
        }
    )


def write_target(bundle: Bundle, target: Target, found: TargetFiles) -> Bundle:
    """Replace the target's part of a bundle, atomically."""
    stale = (f"plugins/{target.name}/", f"engines/{target.name}/")
    return extend_bundle(bundle, {"targets": {target.name: found.entry}}, found.files, without=stale)

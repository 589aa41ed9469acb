"""Build of a target's part of a bundle.

The part is the plugin library, the report on its kernels, and the engines with their keys.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...plugins.compiler.build import Build, build_plugins, take_library
from ...plugins.compiler.cache import Cache
from ...plugins.compiler.kernels.compilation import Settings
from ...plugins.compiler.library.autoload import AUTOLOAD
from ...plugins.compiler.library.linking import LIBRARY
from ...plugins.compiler.report import format_report
from ...plugins.compiler.targets import Target, find_target
from ...runtime.bundle.engine_key import EngineKey
from ...runtime.bundle.reader import Bundle
from ...runtime.bundle.writer import Content, check_target, extend_bundle
from ...runtime.cache import cache_folder
from ...runtime.clock import ReportProgress
from ...runtime.errors import UserError
from ..operators.table import DOMAIN
from .builder import Engine, EngineOptions, build_engine, builder_of, describe_options, find_target_device
from .commands import make_build_command, make_trtexec_command, make_trtexec_load_command
from .graph import prepare_engine_graph

PART = "model"
"""Name of the graph that engines are built from. It takes and returns whole pictures."""


@dataclass(frozen=True)
class TargetFiles:
    """Files and facts that a build adds to a bundle."""

    files: dict[str, Content] = field(default_factory=dict)
    """Content of each file, by its path inside the bundle."""
    entry: dict[str, Any] = field(default_factory=dict)
    """Entry of the manifest's "targets" under the target's name."""
    engines: list[dict[str, Any]] = field(default_factory=list)
    """Facts about each built engine, for the report of `spair build`."""
    commands: list[str] = field(default_factory=list)
    """Command lines that build the engines on the target, where they cannot be built here."""
    notes: list[str] = field(default_factory=list)
    """Sentences that say why engines were not built."""


def build_target(
    path: Path,
    name: str,
    options: EngineOptions | None,
    *,
    precisions: Sequence[str] = (),
    library: Path | None = None,
    jobs: int | None = None,
    cache: bool = True,
    progress: ReportProgress = lambda step: None,
) -> dict[str, Any]:
    """Build a target's plugins and engines into a bundle.

    All that can be refused is checked before minutes of compiling, and a failure leaves the bundle as it was.

    Args:
        path: the bundle's folder.
        name: name of the target.
        options: how engines are built; None: the library alone.
        precisions: see `check_operators`.
        library: plugin library that was built for the target before; None: it is compiled.
        jobs: kernels compiled side by side; None: as many as the machine has cores.
        cache: use and keep what was compiled before.
        progress: called before each step.

    Returns:
        The JSON of `spair build`.

    Raises:
        UserError, PluginError: the bundle, the target or a tool cannot be used.
        GateError, RuleError: an engine or a kernel is not as it must be.
    """
    target = find_target(name)
    bundle = Bundle.open(path)
    chosen = check_operators(bundle, precisions)
    check_place(bundle)
    if options and target.rtx:
        builder_of(target)
    kept = Cache(cache_folder() / "builds" if cache else None)
    progress(f"building for {target.name}")
    settings = Settings(jobs or os.cpu_count() or 1, kept)
    build = take_library(library, target) if library else build_plugins(target, settings, progress=progress)
    found = collect_target(bundle, target, build, chosen, options, kept, progress=progress)
    progress("writing the bundle")
    write_target(bundle, target, found)
    return _report(bundle, build, found)


def _report(bundle: Bundle, build: Build, found: TargetFiles) -> dict[str, Any]:
    return {
        "target": build.label.target,
        "library": str(bundle.path / found.entry["library"]),
        "architectures": list(build.label.architectures),
        "fallback": build.label.fallback,
        "operators": dict(bundle.manifest.operators),
        "engines": [{**engine, "path": str(bundle.path / engine["path"])} for engine in found.engines],
        "on_target": list(found.commands),
        "notes": list(found.notes),
        "kernels": list(build.report["kernels"]) if build.report else [],
    }


def check_operators(bundle: Bundle, precisions: Sequence[str]) -> tuple[str, ...]:
    """Return the precisions to build.

    Args:
        bundle: the bundle to build from.
        precisions: names of precisions; empty: all for which the bundle has the graph.

    Raises:
        UserError: the bundle has no nodes of the domain `spair` or no such precision, or its graph was changed.
    """
    if not bundle.manifest.operators:
        raise UserError(
            f"the bundle {bundle.path} has no nodes of domain {DOMAIN}, so there is nothing for the plugins to do; "
            "spair build is for SPAIR networks"
        )
    chosen = tuple(dict.fromkeys(precisions)) or tuple(
        name for name in bundle.precisions if bundle.has_graph(name, PART)
    )
    for precision in chosen:
        bundle.graph(precision, PART)
    return chosen


def check_place(bundle: Bundle) -> None:
    """Refuse a bundle that could not be replaced.

    Raises:
        UserError: the bundle holds a file that is not its own, or the folder beside it cannot be written.
    """
    place = bundle.path.resolve()
    check_target(place, force=True)
    try:
        tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}.", suffix=".tmp").cleanup()
    except OSError as error:
        raise UserError(
            f"cannot write beside the bundle {place}: {error.strerror or error}; "
            "copy it to a folder that can be written"
        ) from error


def collect_target(
    bundle: Bundle,
    target: Target,
    build: Build,
    precisions: Sequence[str],
    options: EngineOptions | None,
    cache: Cache,
    *,
    progress: ReportProgress = lambda step: None,
) -> TargetFiles:
    """Collect the files that a build adds to a bundle.

    Engines are built here; nothing but the cache is written.

    Args:
        bundle: the bundle to build from.
        target: the machine to build for.
        build: the target's plugin library.
        precisions: see `check_operators`.
        options: how engines are built; None: the library alone.
        cache: keeps engines by their keys.
        progress: called before each step.

    Raises:
        UserError, GateError: see `build_engine`.
    """
    folder = f"plugins/{target.name}"
    found = TargetFiles({f"{folder}/{LIBRARY}": build.library})
    found.entry.update(
        library=f"{folder}/{LIBRARY}", architectures=list(target.architectures), version=build.label.version
    )
    if build.autoload is not None:
        found.entry["autoload"] = f"{folder}/{AUTOLOAD}"
        found.files[found.entry["autoload"]] = build.autoload
    if build.report is not None:
        found.files[f"{folder}/kernels.json"] = (json.dumps(build.report, indent=1) + "\n").encode()
        found.files[f"{folder}/kernels.txt"] = format_report(build.report).encode()
        found.entry["report"] = f"{folder}/kernels.json"
    if options is None:
        return found
    try:
        builder = builder_of(target)
    except UserError as error:
        if target.rtx:
            raise
        found.notes.append(str(error))
        _leave_to_target(found, bundle, target, precisions, options)
        return found
    found.entry["engines"] = {}
    for precision in precisions:
        progress(f"building the {precision} engine")
        graph = prepare_engine_graph(bundle.graph(precision, PART))
        key = _make_key(bundle, target, precision, builder, options, {"graph": graph, "library": build.library})
        _add_engine(found, key, _build(graph, build.library, target, options, key, cache))
    return found


def _make_key(
    bundle: Bundle,
    target: Target,
    precision: str,
    builder: tuple[str, str],
    options: EngineOptions,
    made: dict[str, bytes],
) -> EngineKey:
    """Make the key of an engine.

    `made` has the contents that were made for it: the prepared graph and the library.
    """
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in made.items()}
    return EngineKey(
        target=target.name,
        precision=precision,
        part=PART,
        graph=bundle.manifest.files[bundle.manifest.graphs[precision][PART]],
        library=hashes["library"],
        builder=builder[0],
        version=builder[1],
        machine=target.machine,
        architectures=target.architectures,
        options={**describe_options(options), "prepared": hashes["graph"]},
        device=str(find_target_device(target) or ""),
    )


def write_target(bundle: Bundle, target: Target, found: TargetFiles) -> Bundle:
    """Replace the target's part of a bundle, atomically."""
    stale = (f"plugins/{target.name}/", f"engines/{target.name}/")
    return extend_bundle(bundle, {"targets": {target.name: found.entry}}, found.files, without=stale)


def _build(
    graph: bytes, library: bytes, target: Target, options: EngineOptions, key: EngineKey, cache: Cache
) -> Engine:
    kept = cache.load(key.digest)
    if kept and {"plan", "facts"} <= kept.keys():
        return Engine(kept["plan"], **json.loads(kept["facts"]))
    with tempfile.TemporaryDirectory(prefix="spair-build-") as name:
        path, source = Path(name) / LIBRARY, Path(name) / f"{PART}.onnx"
        path.write_bytes(library)
        source.write_bytes(graph)
        engine = build_engine(source, path, target, options)
    facts = {"layers": engine.layers, "plugin_layers": engine.plugin_layers}
    cache.store(key.digest, {"plan": engine.plan, "facts": json.dumps(facts).encode()})
    return engine


def _add_engine(found: TargetFiles, key: EngineKey, engine: Engine) -> None:
    base = f"engines/{key.target}/{key.precision}"
    found.files[f"{base}.engine"] = engine.plan
    found.files[f"{base}.json"] = key.to_json().encode()
    found.entry["engines"][key.precision] = {"engine": f"{base}.engine", "key": f"{base}.json"}
    found.engines.append(
        {
            "path": f"{base}.engine",
            "precision": key.precision,
            "plugin_layers": engine.plugin_layers,
            "layers": engine.layers,
            "bytes": len(engine.plan),
        }
    )


def _leave_to_target(
    found: TargetFiles, bundle: Bundle, target: Target, precisions: Sequence[str], options: EngineOptions
) -> None:
    """Add graphs and commands for a build on the target."""
    library = bundle.path / found.entry["library"]
    found.commands.append(make_build_command(bundle.path, library, target, precisions, options))
    for precision in precisions:
        graph = f"engines/{target.name}/{precision}.onnx"
        found.files[graph] = prepare_engine_graph(bundle.graph(precision, PART), bodies=False)
        engine = f"{precision}.engine"
        found.commands.append(make_trtexec_command(bundle.path / graph, library, engine, target, options))
        found.commands.append(make_trtexec_load_command(engine, library, options))

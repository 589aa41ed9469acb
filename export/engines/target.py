"""A target's part of a bundle: its plugin library, the report, and the engines with their keys."""

from __future__ import annotations

import hashlib
import json
import shlex
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...plugins.compiler.build import Build
from ...plugins.compiler.cache import Cache
from ...plugins.compiler.library.linking import LIBRARY
from ...plugins.compiler.report import format_report
from ...plugins.compiler.targets import Target
from ...runtime.bundle.engine_key import EngineKey
from ...runtime.bundle.reader import Bundle
from ...runtime.bundle.writer import Content, check_target, extend_bundle
from ...runtime.errors import UserError
from ..operators.table import DOMAIN
from .builder import Engine, EngineOptions, build_engine, builder_of, describe_options, find_target_device
from .graph import prepare_engine_graph
from .worker import BODIES_BEHIND_PLUGINS

PART = "model"
"""The graph that engines are built from: a whole picture in, a whole picture out."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class TargetFiles:
    """What a build adds to a bundle."""

    files: dict[str, Content] = field(default_factory=dict)
    """Path inside the bundle -> content."""
    entry: dict[str, Any] = field(default_factory=dict)
    """Of the manifest's "targets", under the target's name."""
    engines: list[dict[str, Any]] = field(default_factory=list)
    """For the report of `spair build`."""
    commands: list[str] = field(default_factory=list)
    """What builds the engines on the target, where they cannot be built here."""
    notes: list[str] = field(default_factory=list)
    """Sentences for the user: why engines were not built."""


def check_operators(bundle: Bundle, precisions: Sequence[str]) -> tuple[str, ...]:
    """The precisions to build; all that have graphs with `spair` nodes where none are named.

    Raises:
        UserError: the bundle has no such nodes, or not this precision, or its graph was changed.
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
    """Refuse, before minutes of building, a bundle that could not be replaced by the one with the target's files.

    Raises:
        UserError: a foreign file is in it, or its folder cannot be written.
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
    progress: Progress = lambda step: None,
) -> TargetFiles:
    """Everything that a build adds to a bundle; nothing is written but the cache.

    Args:
        bundle: what to build from.
        target: what to build for.
        build: its plugin library.
        precisions: see `check_operators`.
        options: of the engines; None: the library alone.
        cache: keeps engines by their keys.
        progress: called with a few words before each step.

    Raises:
        UserError, GateError: see `build_engine`.
    """
    folder = f"plugins/{target.name}"
    found = TargetFiles({f"{folder}/{LIBRARY}": build.library})
    found.entry.update(
        library=f"{folder}/{LIBRARY}", architectures=list(target.architectures), version=build.label.version
    )
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
    """The key of an engine from the bundle's graph and what was made of it: the prepared graph, the library."""
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
    targets = {**bundle.manifest.targets, target.name: found.entry}
    stale = (f"plugins/{target.name}/", f"engines/{target.name}/")
    return extend_bundle(bundle, {"targets": targets}, found.files, without=stale)


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
    """Add the graphs that the target's parser needs, and say what to call there."""
    least, usual, most = ("x".join(map(str, shape)) for shape in options.shapes())
    for precision in precisions:
        graph = f"engines/{target.name}/{precision}.onnx"
        bodies = target.tensorrt >= BODIES_BEHIND_PLUGINS
        found.files[graph] = prepare_engine_graph(bundle.graph(precision, PART), bodies=bodies)
        found.commands.append(
            f"trtexec --onnx={_quote(bundle.path / graph)} "
            f"--staticPlugins={_quote(bundle.path / found.entry['library'])} "
            f"--minShapes=image:{least} --optShapes=image:{usual} --maxShapes=image:{most} "
            f"--saveEngine={precision}.engine{'' if options.tf32 else ' --noTF32'}"
            f"{' --stronglyTyped' if target.tensorrt < (11, 0) else ''}"
        )


def _quote(path: Path) -> str:
    return shlex.quote(str(path))

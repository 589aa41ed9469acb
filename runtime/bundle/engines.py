"""Engines of a bundle: taken only where their key says that they are what is needed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import UserError
from .engine_key import EngineKey, list_differences, read_key
from .reader import Bundle


@dataclass(frozen=True)
class Host:
    """What runs an engine."""

    builder: str
    """Package that loads it: "tensorrt_rtx" or "tensorrt"."""
    version: str
    """Of that package."""
    machine: str
    """Processor, as `platform.machine()` says it."""
    architecture: int
    """Compute capability of the GPU, 87 for 8.7."""
    device: str = ""
    """GPU and driver, in the words of `EngineKey.device`; they count for engines that were built on a GPU."""


@dataclass(frozen=True)
class StoredEngine:
    """An engine that fits, its files' hashes checked."""

    plan: Path
    library: Path
    """libspair_plugins.so that it was built with."""
    key: EngineKey


def find_engine(bundle: Bundle, target: str, precision: str, host: Host) -> StoredEngine:
    """The engine that `spair build` put into a bundle, before anything of it is loaded.

    Args:
        bundle: the bundle.
        target: a target that it was built for.
        precision: "fp32", "fp16", "int8".
        host: the machine at hand.

    Raises:
        UserError: there is none, or it is stale (the graph or the library is another one now) or foreign (built by
            another TensorRT, or for another processor or GPU); the message says what differs, and what builds it again.
    """
    remedy = f"build it again: spair build {bundle.path} --target {target} --precision {precision}"
    built = bundle.manifest.targets
    entry = built.get(target, {})
    files = _read_entry(entry, precision)
    if files is None:
        have = [f"{name} {own}" for name, other in built.items() for own in other.get("engines", {})]
        raise UserError(
            f"the bundle {bundle.path} has no {precision} engine for {target} (it has: {', '.join(have) or 'none'}); "
            + remedy.replace("again: ", "with ")
        )
    engine, sidecar, library = files
    key = read_key(bundle.file(sidecar).read_text(encoding="utf-8"), str(bundle.path / sidecar))
    differences = list_differences(key, _expect(key, bundle, target, precision, library, host))
    if differences:
        raise UserError(f"the engine {bundle.path / engine} does not fit here: {'; '.join(differences)}; {remedy}")
    return StoredEngine(bundle.file(engine), bundle.file(library), key)


def _read_entry(entry: Mapping[str, Any], precision: str) -> tuple[str, str, str] | None:
    """Files of the engine, its key and the library; None where the target has no such engine."""
    try:
        engine = entry["engines"][precision]
        return engine["engine"], engine["key"], entry["library"]
    except (KeyError, TypeError):
        return None


def _expect(key: EngineKey, bundle: Bundle, target: str, precision: str, library: str, host: Host) -> EngineKey:
    """The key that the engine would have if it were built now, with its own options."""
    manifest = bundle.manifest
    fits = host.architecture in key.architectures
    return replace(
        key,
        target=target,
        precision=precision,
        graph=manifest.files.get(manifest.graphs.get(precision, {}).get(key.part, ""), "absent"),
        library=manifest.files.get(library, "absent"),
        builder=host.builder,
        version=host.version,
        machine=host.machine,
        architectures=key.architectures if fits else (host.architecture,),
        device=host.device if key.device else "",
    )

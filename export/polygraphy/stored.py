"""Engines that a bundle holds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...runtime.bundle.engine_key import EngineKey, load_key
from ...runtime.bundle.reader import Bundle
from ...runtime.errors import UserError, quote


@dataclass(frozen=True)
class EngineFiles:
    """Engine of a whole network with checked files."""

    key: EngineKey
    engine: Path
    library: Path
    """Plugin library."""
    autoload: Path
    """Library that registers the plugins."""


def list_engines(bundle: Bundle) -> list[EngineFiles]:
    """List the engines of a bundle's whole network.

    Raises:
        UserError: the bundle holds a foreign network, or no engine, or one without the library that registers its
            plugins; a file was changed.
    """
    manifest = bundle.manifest
    if manifest.kind != "spair":
        raise UserError(
            f"the bundle {bundle.path} holds a foreign network, which has no engines with plugins; Polygraphy takes "
            "its graph as it is"
        )
    found = [
        _read_engine(bundle, target, entry, names)
        for target, entry in manifest.targets.items()
        for names in entry.get("engines", {}).values()
    ]
    if not found:
        built = ", ".join(manifest.targets) or "none"
        raise UserError(
            f"the bundle {bundle.path} has no engine for Polygraphy (targets: {built}); "
            f"build one with: spair build {quote(bundle.path)} --target local"
        )
    return found


def check_graphs(bundle: Bundle, engines: Sequence[EngineFiles], graphs: Mapping[str, bytes]) -> None:
    """Check that engines were built from given graphs.

    Args:
        bundle: the bundle.
        engines: its engines.
        graphs: the graph with function bodies for each precision.

    Raises:
        UserError: one was built from another graph.
    """
    for one in engines:
        if one.key.options.get("prepared") != hashlib.sha256(graphs[one.key.precision]).hexdigest():
            raise UserError(
                f"the {one.key.precision} engine for {one.key.target} in {bundle.path} was built from another graph "
                "than the bundle's, or by another version of spair-rt; build it again: "
                f"spair build {quote(bundle.path)} --target {quote(one.key.target, '--precision', one.key.precision)}"
            )


def find_largest(engines: Sequence[EngineFiles]) -> tuple[int, int]:
    """Return the largest size that all engines take.

    It is a width and a height in pixels."""
    sizes = [one.key.options["largest"] for one in engines]
    return min(width for width, _ in sizes), min(height for _, height in sizes)


def _read_engine(bundle: Bundle, target: str, entry: Mapping[str, Any], names: Mapping[str, str]) -> EngineFiles:
    if "autoload" not in entry:
        raise UserError(
            f"the target {target} of {bundle.path} has no library that registers its plugins in other programs; "
            f"build it again: spair build {quote(bundle.path)} --target {quote(target)}"
        )
    key = load_key(bundle.file(names["key"]))
    return EngineFiles(key, bundle.file(names["engine"]), bundle.file(entry["library"]), bundle.file(entry["autoload"]))

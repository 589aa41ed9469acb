"""Engines of bundles for Triton's TensorRT backend."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...runtime.bundle.engine_key import EngineKey, load_key
from ...runtime.bundle.engines import SERVED, Host, find_engine
from ...runtime.bundle.reader import Bundle
from ...runtime.errors import UserError, quote
from .settings import Settings

_BUILDER = "tensorrt"
_NO_DRIVER_IS_NEWER = (1 << 16, 0)


@dataclass(frozen=True)
class ServedEngine:
    """Engine with its plugin libraries; all hashes are right."""

    plan: Path
    library: Path
    """libspair_plugins.so."""
    autoload: Path
    """Library that registers the plugins when Triton opens it; it loads the other from its own folder."""
    key: EngineKey

    @property
    def batch(self) -> int:
        """Largest number of pictures at a time."""
        return int(self.key.options["batch"])

    @property
    def usual(self) -> tuple[int, int]:
        """Usual width and height in pixels."""
        width, height = self.key.options["usual"]
        return int(width), int(height)

    @property
    def largest(self) -> tuple[int, int]:
        """Largest width and height in pixels."""
        width, height = self.key.options["largest"]
        return int(width), int(height)


def find_served_engine(bundle: Bundle, settings: Settings) -> ServedEngine:
    """Find the engine of a bundle that Triton can serve.

    The GPU is not looked at: the repository may be for another machine.

    Raises:
        UserError: the bundle has no such engine, or it was not built by the container's TensorRT; the graph, the
            library or another file was changed; the TensorRT of the container is not known.
    """
    remedy = make_command(bundle, settings)
    entry = bundle.manifest.targets.get(settings.target, {})
    names = _read_names(entry, settings.precision)
    if names is None or "autoload" not in entry:
        built = ", ".join(bundle.manifest.targets) or "none"
        raise UserError(
            f"the bundle {bundle.path} has no {settings.precision} engine for serving of the target {settings.target} "
            f"(targets: {built}); build it where it will run, with the container's TensorRT: {remedy}"
        )
    key = load_key(bundle.file(names["key"]))
    _check_tensorrt(bundle, key, settings, remedy)
    host = Host(key.builder, key.version, key.machine, key.architectures[0], key.device, _NO_DRIVER_IS_NEWER)
    found = find_engine(bundle, settings.target, settings.precision, host, SERVED)
    return ServedEngine(found.plan, found.library, bundle.file(entry["autoload"]), found.key)


def check_libraries(engines: dict[str, ServedEngine]) -> None:
    """Check that all engines use one plugin library.

    A process takes the plugins of one library only.

    Args:
        engines: engines by the name of the model.

    Raises:
        UserError: two of them were built with different libraries.
    """
    first = next(iter(engines.items()), None)
    for name, engine in engines.items():
        assert first is not None
        if engine.key.library != first[1].key.library:
            raise UserError(
                f"the engines of {first[0]} and {name} were built with different plugin libraries, and one server "
                "takes one; build them with the same: spair build ... --library FILE"
            )


def make_command(bundle: Bundle, settings: Settings) -> str:
    """Write the command that builds a bundle's engine."""
    options = ("--target", settings.target, "--precision", settings.precision, "--served")
    return quote("spair", "build", bundle.path, *options)


def _read_names(entry: Any, precision: str) -> dict[str, str] | None:
    """Return the names of an engine's files, or None."""
    try:
        names = entry["engines"][precision]["parts"][SERVED]
        return {kind: str(names[kind]) for kind in ("engine", "key")}
    except (KeyError, TypeError):
        return None


def _check_tensorrt(bundle: Bundle, key: EngineKey, settings: Settings, remedy: str) -> None:
    release, wanted = settings.release, settings.container_tensorrt
    if key.builder != _BUILDER:
        raise UserError(
            f"the engine of {bundle.path} for {settings.target} was built by {key.builder}, and Triton loads engines "
            f"of {_BUILDER} alone; build one where TensorRT is installed: {remedy}"
        )
    if not wanted:
        raise UserError(
            f"the TensorRT of the container {release.name} is not in the table; give it with --tensorrt, as this says: "
            f"docker run --rm {release.image} dpkg-query -W 'libnvinfer1*'"
        )
    if not are_same(key.version, wanted):
        raise UserError(
            f"the engine of {bundle.path} for {settings.target} was built by TensorRT {key.version}, and the container "
            f"{release.name} has TensorRT {wanted}, which does not load it; build it with that version: {remedy}"
        )


def are_same(one: str, other: str) -> bool:
    """Tell whether two versions are the same.

    Numbers that one of them leaves out are not compared.

    Examples:
        >>> are_same("10.5.0", "10.5.0.18"), are_same("10.5.0.17", "10.5.0.18")
        (True, False)
    """
    pairs = zip(one.split("."), other.split("."), strict=False)
    return all(own == its for own, its in pairs)

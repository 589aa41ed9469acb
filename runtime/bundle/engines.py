"""Search for the engines of a bundle.

An engine is taken only if its key fits the bundle and the machine.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import UserError, quote
from ..machine.gpu import Device
from .engine_key import EngineKey, list_differences, load_key
from .reader import Bundle

WHOLE = "model"
"""Name of the part that is the whole network."""
SERVED = "served"
"""Name of the part that is the whole network too, with inputs and outputs for Triton Inference Server."""


@dataclass(frozen=True)
class Host:
    """Machine and package that run an engine."""

    builder: str
    """Package that loads the engine, "tensorrt_rtx" or "tensorrt"."""
    version: str
    """Version of that package."""
    machine: str
    """Processor, as `platform.machine()` names it."""
    architecture: int
    """Compute capability of the GPU times ten, 87 for 8.7."""
    device: str = ""
    """GPU, written like `EngineKey.device`; compared only for engines that were built on a GPU."""
    driver: tuple[int, int] = (0, 0)
    """Newest CUDA version that the driver supports; compared only for engines that were built on a GPU."""

    @classmethod
    def of(cls, builder: str, version: str, device: Device) -> Host:
        """Describe this machine with one of its GPUs.

        Args:
            builder: package that loads the engine, "tensorrt_rtx" or "tensorrt".
            version: version of that package.
            device: the GPU, see `find_device`.
        """
        return cls(builder, version, platform.machine(), device.architecture, str(device), device.driver)


@dataclass(frozen=True)
class StoredEngine:
    """Engine that fits, whose files have the right hashes."""

    plan: Path
    """File of the engine."""
    library: Path
    """File of the plugin library that the engine was built with."""
    key: EngineKey


def find_engine(bundle: Bundle, target: str, precision: str, host: Host, part: str = WHOLE) -> StoredEngine:
    """Find an engine that `spair build` put into a bundle.

    Its key is compared before the engine is loaded.

    Args:
        bundle: the bundle.
        target: name of the target that the engine was built for.
        precision: "fp32", "fp16" or "int8".
        host: the machine at hand.
        part: "model" is the whole network, "served" the same for other programs; "net_l" and "net_r" are its stages.

    Raises:
        UserError: the bundle has no such engine; the graph or the library has changed since it was built; another
            TensorRT built it, or it is for another processor or GPU. The message says what differs, and which command
            builds the engine again.
    """
    command = quote("spair", "build", bundle.path, "--target", target, "--precision", precision)
    remedy = f"build it again: {command}"
    built = bundle.manifest.targets
    entry = built.get(target, {})
    files = _read_entry(entry, precision, part)
    if files is None:
        have = [f"{name} {own}" for name, other in built.items() for own in other.get("engines", {})]
        of_part = "" if part == WHOLE else f" of {part}"
        raise UserError(
            f"the bundle {bundle.path} has no {precision} engine{of_part} for {target} "
            f"(it has: {', '.join(have) or 'none'}); " + remedy.replace("again: ", "with ")
        )
    engine, sidecar, library = files
    key = load_key(bundle.file(sidecar))
    differences = list_differences(key, _expect(key, bundle, target, precision, part, library, host))
    if differences:
        raise UserError(f"the engine {bundle.path / engine} does not fit here: {'; '.join(differences)}; {remedy}")
    return StoredEngine(bundle.file(engine), bundle.file(library), key)


def name_graph(part: str) -> str:
    """Name the graph that a part's engine is built from."""
    return WHOLE if part == SERVED else part


def _read_entry(entry: Mapping[str, Any], precision: str, part: str) -> tuple[str, str, str] | None:
    """Return the files of engine, key and library.

    Returns:
        Names in the bundle; None if the target has no such engine.
    """
    try:
        engine = entry["engines"][precision]
        if part != WHOLE:
            engine = engine["parts"][part]
        return engine["engine"], engine["key"], entry["library"]
    except (KeyError, TypeError):
        return None


def _expect(
    key: EngineKey, bundle: Bundle, target: str, precision: str, part: str, library: str, host: Host
) -> EngineKey:
    """Return the key that a fitting engine would have.

    Its options are those of `key`.
    """
    manifest = bundle.manifest
    fits = host.architecture in key.architectures
    return replace(
        key,
        target=target,
        precision=precision,
        part=part,
        graph=bundle.graph_digest(precision, name_graph(part)),
        library=manifest.files.get(library, "absent"),
        builder=host.builder,
        version=host.version,
        machine=host.machine,
        architectures=key.architectures if fits else (host.architecture,),
        device=host.device if key.device else "",
        driver=key.driver if _reaches(host.driver, key.driver) else f"{host.driver[0]}.{host.driver[1]}",
    )


def _reaches(driver: tuple[int, int], least: str) -> bool:
    """Tell whether a driver runs what another one has built.

    Args:
        driver: CUDA version of the driver.
        least: CUDA version of the other driver, "12.6"; empty for none.
    """
    return not least or driver >= tuple(int(number) for number in least.split("."))

"""What an engine was built from: the sidecar beside it, compared before the engine is touched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..errors import UserError


@dataclass(frozen=True)
class EngineKey:
    """Everything that decides an engine; two engines with equal keys are interchangeable."""

    target: str
    precision: str
    part: str
    """The graph of the bundle: "model", "net_l", …"""
    graph: str
    """SHA-256 of the graph's file."""
    library: str
    """SHA-256 of libspair_plugins.so."""
    builder: str
    """Package that built it: "tensorrt_rtx" or "tensorrt"."""
    version: str
    """Of that package: engines of another one are not loaded."""
    machine: str
    """Processor of the machine that runs it."""
    architectures: tuple[int, ...]
    """Compute capabilities it runs on."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Every build option: JSON values."""
    device: str = ""
    """GPU and driver that it was built and timed on; empty for one that was built ahead of time."""

    def to_json(self) -> str:
        """The text of the sidecar."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @property
    def digest(self) -> str:
        """SHA-256 of the key, in lower-case hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def read_key(text: str, where: str) -> EngineKey:
    """A key from the text of a sidecar.

    Raises:
        UserError: it is not one.
    """
    try:
        raw = json.loads(text)
        return EngineKey(**{**raw, "architectures": tuple(raw["architectures"])})
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"cannot read {where}: it is no key of an engine ({error}); build the engine again") from error


def list_differences(found: EngineKey, expected: EngineKey) -> list[str]:
    """What differs between the key of an engine and the one that is needed, in words; empty for equal ones."""
    names = [entry.name for entry in fields(EngineKey) if entry.name != "options"]
    values = [(name, getattr(found, name), getattr(expected, name)) for name in names]
    for name in sorted({*found.options, *expected.options}):
        values.append((f"option {name}", found.options.get(name), expected.options.get(name)))
    return [f"{name} is {_short(own)}, expected {_short(other)}" for name, own, other in values if own != other]


def _short(value: Any) -> str:
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text

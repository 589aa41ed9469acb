"""Key of an engine.

It says what the engine was built from. It lies in a file beside the engine, and is compared before the engine is
loaded.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..errors import UserError


@dataclass(frozen=True)
class EngineKey:
    """All facts that determine an engine.

    Engines with equal keys are interchangeable.
    """

    target: str
    precision: str
    part: str
    """Name of the graph in the bundle, such as "model" or "net_l"."""
    graph: str
    """SHA-256 of the graph's file."""
    library: str
    """SHA-256 of libspair_plugins.so."""
    builder: str
    """Package that built the engine, "tensorrt_rtx" or "tensorrt"."""
    version: str
    """Version of that package; engines of another version are not loaded."""
    machine: str
    """Processor of the machine that runs the engine."""
    architectures: tuple[int, ...]
    """Compute capabilities times ten that the engine runs on, 87 for 8.7."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """All build options, as JSON values by name."""
    device: str = ""
    """GPU on which the engine was built and timed, as `Device` describes it: name, compute capability, number of
    multiprocessors and memory. It is empty for an engine that was built ahead of time."""
    driver: str = ""
    """CUDA version of the driver that the engine was built with, "12.6"; drivers of later versions run it too. It is
    empty for an engine that was built ahead of time."""

    def to_json(self) -> str:
        """Return the text of the key's file."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @property
    def digest(self) -> str:
        """SHA-256 of the key, in lower-case hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def read_key(text: str, where: str) -> EngineKey:
    """Read a key from the text of its file.

    Args:
        text: the text.
        where: path of the file, for messages.

    Raises:
        UserError: the text is not a key.
    """
    try:
        raw = json.loads(text)
        key = EngineKey(**{**raw, "architectures": tuple(raw["architectures"])})
        if not re.fullmatch(r"(\d+\.\d+)?", key.driver):
            raise ValueError(f"its driver is {key.driver!r}")
        return key
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"cannot read {where}: it is not the key of an engine ({error}); build the engine again"
        ) from error


def list_differences(found: EngineKey, expected: EngineKey) -> list[str]:
    """Describe the differences between two keys.

    Args:
        found: key of an engine.
        expected: key that is needed.

    Returns:
        A phrase for each difference; empty for equal keys.
    """
    names = [entry.name for entry in fields(EngineKey) if entry.name != "options"]
    values = [(name, getattr(found, name), getattr(expected, name)) for name in names]
    for name in sorted({*found.options, *expected.options}):
        values.append((f"option {name}", found.options.get(name), expected.options.get(name)))
    return [f"{name} is {_short(own)}, expected {_short(other)}" for name, own, other in values if own != other]


def _short(value: Any) -> str:
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text

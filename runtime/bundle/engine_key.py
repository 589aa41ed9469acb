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
from pathlib import Path
from typing import Any

from ..bounds.files import read_text
from ..bounds.values import parse_json, shorten
from ..errors import UserError


@dataclass(frozen=True)
class EngineKey:
    """All facts that determine an engine.

    Engines with equal keys are interchangeable.
    """

    target: str
    precision: str
    part: str
    """Name of the part of the network, such as "model", "net_l" or "served"."""
    graph: str
    """SHA-256 of the graph with all of its weights, see `Bundle.graph_digest`."""
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


def load_key(file: Path) -> EngineKey:
    """Read a key from its file.

    Raises:
        UserError: the file cannot be read, or is no key.
    """
    try:
        text = read_text(file)
    except (OSError, ValueError) as error:
        raise _damaged(str(file), error) from error
    return read_key(text, str(file))


def read_key(text: str, where: str) -> EngineKey:
    """Read a key from the text of its file.

    Args:
        text: the text.
        where: path of the file, for messages.

    Raises:
        UserError: the text is not a key.
    """
    try:
        raw = parse_json(text)
        key = EngineKey(**{**raw, "architectures": tuple(raw["architectures"])})
        _check_key(key)
        return key
    except (ValueError, TypeError, LookupError) as error:
        raise _damaged(where, error) from error


def _check_key(key: EngineKey) -> None:
    numbers, options = key.architectures, key.options
    texts = (entry.name for entry in fields(EngineKey) if entry.type == "str")
    wrong = [name for name in texts if not isinstance(getattr(key, name), str)]
    if wrong:
        raise TypeError(f"its {wrong[0]} is {getattr(key, wrong[0])!r}, expected text")
    if not numbers or not all(isinstance(one, int) and not isinstance(one, bool) for one in numbers):
        raise TypeError(f"its architectures are {numbers!r}, expected whole numbers")
    if not isinstance(options, dict):
        raise TypeError(f"its options are {options!r}, expected a table")
    if not re.fullmatch(r"(\d{1,4}\.\d{1,4})?", key.driver):
        raise ValueError(f"its driver is {key.driver!r}")


def _damaged(where: str, error: Exception) -> UserError:
    return UserError(f"cannot read {where}: it is not the key of an engine ({shorten(error)}); build the engine again")


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

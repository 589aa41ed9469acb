"""Types of the manifest's optional entries.

They are read in many places, which may then rely on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

MOST_CHANNELS = 4096
"""Largest number of channels of an input."""


class Entry(NamedTuple):
    """Kind of value that an entry must have."""

    holds: Callable[[Any], bool]
    words: str


def check_entries(raw: Mapping[str, Any]) -> None:
    """Check entries that a manifest may leave out.

    Args:
        raw: the manifest's values.

    Raises:
        TypeError: an entry has another type; the message names it.
    """
    for name, entry in _ENTRIES.items():
        if name in raw and not entry.holds(raw[name]):
            raise TypeError(f"its {name} must be {entry.words}, not {_shorten(raw[name])}")


def is_whole(value: Any, least: int, most: int) -> bool:
    """Tell whether a value is a whole number within bounds."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _is_input(value: Any) -> bool:
    return (
        _is_table(value)
        and isinstance(value.get("name", ""), str)
        and is_whole(value.get("channels", 3), 1, MOST_CHANNELS)
    )


def _are_targets(value: Any) -> bool:
    return _is_table(value) and all(_is_target(target) for target in value.values())


def _is_target(value: Any) -> bool:
    if not _is_table(value) or not all(isinstance(value.get(key, ""), str) for key in ("library", "autoload")):
        return False
    engines = value.get("engines", {})
    return _is_table(engines) and all(_is_engine(engine) for engine in engines.values())


def _is_engine(value: Any) -> bool:
    if not _is_table(value) or not _has_files(value):
        return False
    parts = value.get("parts", {})
    return _is_table(parts) and all(_is_table(part) and _has_files(part) for part in parts.values())


def _has_files(value: Mapping[str, Any]) -> bool:
    return all(isinstance(value.get(key, ""), str) for key in ("engine", "key"))


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


_ENTRIES = {
    "checkpoint": Entry(_is_table, "a table"),
    "operators": Entry(_is_table, "a table"),
    "parity": Entry(_is_table, "a table"),
    "tools": Entry(_is_table, "a table"),
    "preset_fields": Entry(_is_table, "a table"),
    "opset": Entry(lambda value: is_whole(value, 0, 10_000), "a whole number"),
    "inputs": Entry(
        lambda value: isinstance(value, list) and all(map(_is_input, value)),
        f"a list of tables with a name and channels from 1 to {MOST_CHANNELS}",
    ),
    "outputs": Entry(
        lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value), "a list of names"
    ),
    "targets": Entry(_are_targets, "a table of tables, whose engines are tables with the names of files"),
}
"""Optional entries of a manifest."""

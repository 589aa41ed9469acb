"""Manifest of a bundle, with types.

The entries of `manifest.json` are checked once, when it is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..bounds.values import parse_json, shorten
from ..errors import UserError
from ..tiling.spec import ForeignNetwork, NetworkSpec, SpairNetwork, network_from_json
from .checks.entries import check_entries

SCHEMA = 1
"""Number of the schema that this version writes; newer ones are refused, because their meaning is not known."""

KINDS = ("spair", "foreign")
"""Kinds of networks."""


@dataclass(frozen=True)
class Manifest:
    """Parsed manifest.

    Entries that this version does not know stay available in `raw`.
    """

    kind: str
    """"spair" or "foreign"."""
    name: str
    task: str
    preset: str
    network: NetworkSpec
    graphs: Mapping[str, Mapping[str, str]]
    """Paths inside the bundle by precision and by part ("model", "net_l", "net_r", ...)."""
    files: Mapping[str, str]
    """SHA-256 in lower-case hexadecimal by path inside the bundle."""
    checkpoint: Mapping[str, Any] = field(default_factory=dict)
    operators: Mapping[str, int] = field(default_factory=dict)
    opset: int = 0
    parity: Mapping[str, Any] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[Mapping[str, Any], ...] = ()
    outputs: tuple[str, ...] = ()
    targets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Tables by name of a target, with "library", "architectures", "engines", ...; paths are inside the bundle."""
    rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Paths inside the bundle of the row programs, by precision and by file ("program", "arrays")."""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def precisions(self) -> tuple[str, ...]:
        """Precisions that the bundle has graphs for."""
        return tuple(self.graphs)


def parse_manifest(text: str, where: str) -> Manifest:
    """Parse and check the text of a manifest.

    Args:
        text: the JSON.
        where: name for messages, usually the path.

    Raises:
        UserError: the text is not a JSON object; an entry is missing, of a wrong type or out of range; the schema is
            newer, or the kind is not known.
    """
    try:
        raw = parse_json(text)
    except ValueError as error:
        raise UserError(f"cannot read {where}: it is not JSON ({error}); export the bundle again") from error
    if not isinstance(raw, dict):
        raise UserError(f"cannot read {where}: it holds a {type(raw).__name__}, expected an object; export it again")
    _check_schema(raw.get("schema"), where)
    try:
        return _manifest_from(raw)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        what = f"the entry {error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(f"cannot use {where}: {shorten(what)}; export the bundle again") from error


def _check_schema(schema: Any, where: str) -> None:
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise UserError(f"cannot use {where}: its schema is {schema!r}, expected a number from 1 to {SCHEMA}")
    if schema > SCHEMA:
        raise UserError(
            f"cannot use {where}: it has schema {schema} and this version reads up to schema {SCHEMA}; upgrade spair-rt"
        )


def _manifest_from(raw: dict[str, Any]) -> Manifest:
    if not isinstance(raw["kind"], str) or raw["kind"] not in KINDS:
        raise ValueError(f"its kind is {raw['kind']!r}, expected one of {', '.join(KINDS)}")
    check_entries(raw)
    kept = {f.name: raw[f.name] for f in fields(Manifest) if f.name in raw}
    for name in ("name", "task", "preset"):
        if not isinstance(kept.setdefault(name, ""), str):
            raise TypeError(f"its {name} is {kept[name]!r}, expected text")
    network_type = SpairNetwork if raw["kind"] == "spair" else ForeignNetwork
    kept["network"] = network_from_json(network_type, raw["network"])
    for table, depth in _NAMED.items():
        _check_names(table, raw.get(table, {}), depth)
    for entry in _table("targets", raw.get("targets", {})).values():
        _check_names("engines", entry.get("engines", {}) if isinstance(entry, dict) else {}, 1)
    kept["graphs"] = {str(key): _text_table("graphs", parts) for key, parts in raw["graphs"].items()}
    kept["files"] = _text_table("files", raw["files"])
    kept["inputs"] = tuple(raw.get("inputs", ()))
    kept["outputs"] = tuple(raw.get("outputs", ()))
    rows = _table("rows", raw.get("rows", {}))
    kept["rows"] = {str(key): _text_table("rows", parts) for key, parts in rows.items()}
    named = [path for table in (kept["graphs"], kept["rows"]) for parts in table.values() for path in parts.values()]
    unlisted = [path for path in named if path not in kept["files"]]
    if unlisted:
        raise ValueError(f"the graph {unlisted[0]} is not listed among its files")
    return Manifest(**kept, raw=raw)


_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_NAMED = {"graphs": 2, "rows": 2, "targets": 1, "calibration": 1}
"""Tables whose keys are names of precisions, parts and targets -> depth down to which they are."""


def _check_names(what: str, table: Any, depth: int) -> None:
    """Refuse names that a shell or terminal would understand."""
    if depth == 0 or not isinstance(table, dict):
        return
    for name, inner in table.items():
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"its {what} has the name {name!r}, expected at most 64 of a-z, 0-9, '.', '_' and '-', of which the "
                "first is a letter or a digit"
            )
        _check_names(what, inner, depth - 1)


def _table(what: str, table: Any) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise TypeError(f"its {what} must be a table, not {table!r}")
    return table


def _text_table(what: str, table: Any) -> dict[str, str]:
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise TypeError(f"its {what} must be a table of names to text, not {table!r}")
    return table

"""The manifest of a bundle: typed access to `manifest.json`, checked once when it is parsed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..errors import UserError

SCHEMA = 1
"""Schema number this version writes; newer ones are refused, since unknown meaning cannot be guessed."""

KINDS = ("spair", "foreign")


@dataclass(frozen=True)
class SpairNetwork:
    """What the runtime has to know about a two-stage network (kind "spair"); lengths in full-size pixels."""

    halo_l: int
    """Receptive field radius of Net_L."""
    halo_r: int
    """Receptive field radius of Net_R."""
    multiple: int = 8
    """Height and width of what the graphs see are multiples of this."""
    grid: int = 16
    """Cells per side of the grid of clean keys."""
    scales: tuple[int, ...] = (0, 1, 2)
    """Feature maps; the map of scale s is 2**s times smaller than the picture."""
    modulated: tuple[int, ...] = (1, 2)
    """Scales whose distorted features are re-normalised to the clean statistics."""
    key_scale: int = 2
    """Scale the clean keys are averaged from."""
    eps: float = 1e-5
    """Added to both variances before their ratio is taken."""
    mask_threshold: float = 0.35
    """Probability above which a pixel counts as distorted (already inside the graph)."""
    gate_output: bool = True
    """Clean pixels are the input's own; False: the network may change any pixel, so no tile is skipped."""
    channels: tuple[int, ...] = ()
    """Channels of the feature maps; empty where the bundle does not say."""
    work: tuple[float, ...] = (1.0, 0.0, 0.0)
    """Share of each scale in the multiply-adds of Net_R where all pixels are distorted; the sum is 1."""
    crossover: float = 0.5
    """Share of the work below which the packed graph is cheaper, where nothing was measured (see `Tuning`)."""

    def __post_init__(self) -> None:
        if min(self.halo_l, self.halo_r) < 0 or self.multiple < 1 or self.grid < 1 or self.eps <= 0:
            raise ValueError(f"halos must be >= 0, multiple and grid >= 1 and eps > 0, got {self}")
        if not (isinstance(self.crossover, (int, float)) and 0.0 <= self.crossover <= 10.0):  # not NaN either
            raise ValueError(f"crossover must be a share of the work, got {self.crossover!r}")
        used = {*self.modulated, self.key_scale}
        if not used <= set(self.scales) or self.multiple % 2 ** max(self.scales):
            raise ValueError(f"scales {self.scales} must include {sorted(used)} and divide {self.multiple}")
        if len(self.work) != len(self.scales) or min(self.work) < 0 or abs(sum(self.work) - 1.0) > 1e-3:
            raise ValueError(f"work must be one share for each of the scales {self.scales}, got {self.work}")


@dataclass(frozen=True)
class ForeignNetwork:
    """What the runtime has to know about somebody else's network (kind "foreign"); lengths in pixels."""

    multiple: int = 1
    """Height and width of what the graph sees are multiples of this."""
    halo: int = 0
    """Receptive field radius, as far as it is known."""

    def __post_init__(self) -> None:
        if self.multiple < 1 or self.halo < 0:
            raise ValueError(f"multiple must be >= 1 and halo >= 0, got {self}")


@dataclass(frozen=True)
class Manifest:
    """A parsed manifest; keys it does not know stay available in `raw`."""

    kind: str
    """"spair" or "foreign"."""
    name: str
    task: str
    preset: str
    network: SpairNetwork | ForeignNetwork
    graphs: Mapping[str, Mapping[str, str]]
    """precision -> part ("model", "net_l", "net_r", ...) -> path inside the bundle."""
    files: Mapping[str, str]
    """path inside the bundle -> SHA-256 in lower-case hexadecimal."""
    checkpoint: Mapping[str, Any] = field(default_factory=dict)
    operators: Mapping[str, int] = field(default_factory=dict)
    opset: int = 0
    parity: Mapping[str, Any] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[Mapping[str, Any], ...] = ()
    outputs: tuple[str, ...] = ()
    targets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """name of a target -> what was built for it: "library", "architectures", "engines", ...; paths in the bundle."""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions the bundle has graphs for."""
        return tuple(self.graphs)


def parse_manifest(text: str, where: str) -> Manifest:
    """Parse and check the text of a manifest.

    Args:
        text: the JSON.
        where: what to call it in messages, usually its path.

    Raises:
        UserError: no JSON object; a missing, ill-typed or out-of-range entry; a newer schema or another kind.
    """
    try:
        raw = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"cannot read {where}: it is not JSON ({error}); export the bundle again") from error
    if not isinstance(raw, dict):
        raise UserError(f"cannot read {where}: it holds a {type(raw).__name__}, expected an object; export it again")
    _check_schema(raw.get("schema"), where)
    try:
        return _manifest_from(raw)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"the entry {error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(f"cannot use {where}: {what}; export the bundle again") from error


def _check_schema(schema: Any, where: str) -> None:
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise UserError(f"cannot use {where}: its schema is {schema!r}, expected a number from 1 to {SCHEMA}")
    if schema > SCHEMA:
        raise UserError(
            f"cannot use {where}: it has schema {schema} and this version reads up to schema {SCHEMA}; upgrade spair-rt"
        )


def _manifest_from(raw: dict[str, Any]) -> Manifest:
    if raw["kind"] not in KINDS:
        raise ValueError(f"its kind is {raw['kind']!r}, expected one of {', '.join(KINDS)}")
    kept = {f.name: raw[f.name] for f in fields(Manifest) if f.name in raw}
    for name in ("name", "task", "preset"):
        if not isinstance(kept.setdefault(name, ""), str):
            raise TypeError(f"its {name} is {kept[name]!r}, expected text")
    network_type = SpairNetwork if raw["kind"] == "spair" else ForeignNetwork
    kept["network"] = _network_from(network_type, raw["network"])
    kept["graphs"] = {str(key): _text_table("graphs", parts) for key, parts in raw["graphs"].items()}
    kept["files"] = _text_table("files", raw["files"])
    kept["inputs"] = tuple(raw.get("inputs", ()))
    kept["outputs"] = tuple(raw.get("outputs", ()))
    if not all(isinstance(entry, dict) for entry in _table("targets", raw.get("targets", {})).values()):
        raise TypeError(f"its targets must be a table of tables, not {raw['targets']!r}")
    unlisted = [p for parts in kept["graphs"].values() for p in parts.values() if p not in kept["files"]]
    if unlisted:
        raise ValueError(f"the graph {unlisted[0]} is not listed among its files")
    return Manifest(**kept, raw=raw)


def spair_network(geometry: Mapping[str, Any]) -> SpairNetwork:
    """A `SpairNetwork` from JSON values; keys it does not know are left out.

    Raises:
        TypeError, ValueError: a value is missing or out of range.
    """
    return _network_from(SpairNetwork, geometry)


def _network_from(network_type: type, raw: Mapping[str, Any]) -> Any:
    known = {f.name for f in fields(network_type)}
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items() if k in known}
    return network_type(**values)


def _table(what: str, table: Any) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise TypeError(f"its {what} must be a table, not {table!r}")
    return table


def _text_table(what: str, table: Any) -> dict[str, str]:
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise TypeError(f"its {what} must be a table of names to text, not {table!r}")
    return table

"""Sizes, halos and scales of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar


@dataclass(frozen=True)
class SpairNetwork:
    """What the runtime has to know about a two-stage network (kind "spair"); lengths in full-size pixels."""

    has_mask: ClassVar[bool] = True
    """Whether the network says which pixels are distorted."""
    default_tile: ClassVar[int] = 2048
    """Largest side in pixels of a piece where the user gives none."""

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

    has_mask: ClassVar[bool] = False
    """Whether the network says which pixels are distorted."""
    gate_output: ClassVar[bool] = False
    """Whether clean pixels are the input's own; a foreign network may change any pixel."""
    default_tile: ClassVar[int] = 512
    """Side of a tile in pixels where the user gives none; small, because nothing is known of the network's memory."""

    multiple: int = 1
    """Height and width of what the graph sees are multiples of this."""
    halo: int = 0
    """Receptive field radius, as far as it is known."""

    def __post_init__(self) -> None:
        if self.multiple < 1 or self.halo < 0:
            raise ValueError(f"multiple must be >= 1 and halo >= 0, got {self}")


NetworkSpec = SpairNetwork | ForeignNetwork
"""Description of a network of either kind."""


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

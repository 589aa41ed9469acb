"""Descriptions of the networks that the runtime can run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar


@dataclass(frozen=True)
class SpairNetwork:
    """Description of a two-stage network, whose kind is "spair".

    Lengths are in pixels of the full-size picture.
    """

    has_mask: ClassVar[bool] = True
    """Whether the network says which pixels are distorted."""
    default_tile: ClassVar[int] = 2048
    """Largest side of a piece in pixels, unless the user gives one."""

    halo_l: int
    """Pixels around a pixel that Net_L has to see, the radius of its receptive field."""
    halo_r: int
    """Pixels around a pixel that Net_R has to see, the radius of its receptive field."""
    multiple: int = 8
    """Number of pixels that divides height and width of every input of the graphs."""
    grid: int = 16
    """Number of cells per side of the grid of clean keys."""
    scales: tuple[int, ...] = (0, 1, 2)
    """Scales of the feature maps; the map of scale s is 2**s times smaller than the picture."""
    modulated: tuple[int, ...] = (1, 2)
    """Scales whose distorted features are normalised to the statistics of the clean ones."""
    key_scale: int = 2
    """Scale from which the clean keys are averaged."""
    eps: float = 1e-5
    """Number added to both variances before their ratio is taken."""
    mask_threshold: float = 0.35
    """Probability above which a pixel counts as distorted; the graph contains the comparison."""
    gate_output: bool = True
    """Whether clean pixels are the input's own; if not, the network may change any pixel, and no tile is skipped."""
    channels: tuple[int, ...] = ()
    """Numbers of channels of the feature maps; empty if the bundle does not say."""
    work: tuple[float, ...] = (1.0, 0.0, 0.0)
    """Share of each scale in the multiply-adds of Net_R where all pixels are distorted; the sum is 1."""
    crossover: float = 0.5
    """Share of the work below which the packed graph is assumed to be cheaper if nothing was measured, see `Tuning`."""

    def __post_init__(self) -> None:
        if min(self.halo_l, self.halo_r) < 0 or self.multiple < 1 or self.grid < 1 or self.eps <= 0:
            raise ValueError(f"halos must be >= 0, multiple and grid >= 1 and eps > 0, got {self}")
        if not (isinstance(self.crossover, (int, float)) and 0.0 <= self.crossover <= 10.0):  # not NaN either
            raise ValueError(f"crossover must be a number from 0 to 10, got {self.crossover!r}")
        used = {*self.modulated, self.key_scale}
        if not used <= set(self.scales) or self.multiple % 2 ** max(self.scales):
            raise ValueError(
                f"scales must include {sorted(used)}, and 2**scale must divide {self.multiple}, got {self.scales}"
            )
        if len(self.work) != len(self.scales) or min(self.work) < 0 or abs(sum(self.work) - 1.0) > 1e-3:
            raise ValueError(
                f"work must hold a share for each of the scales {self.scales}, with the sum 1, got {self.work}"
            )


@dataclass(frozen=True)
class ForeignNetwork:
    """Description of any other network, whose kind is "foreign".

    Lengths are in pixels.
    """

    has_mask: ClassVar[bool] = False
    """Whether the network says which pixels are distorted."""
    gate_output: ClassVar[bool] = False
    """Whether clean pixels are the input's own; a foreign network may change any pixel."""
    default_tile: ClassVar[int] = 512
    """Side of a tile in pixels, unless the user gives one; small, because the memory of the network is not known."""

    multiple: int = 1
    """Number of pixels that divides height and width of every input of the graph."""
    halo: int = 0
    """Pixels around a pixel that the network has to see; 0 if that is not known."""

    def __post_init__(self) -> None:
        if self.multiple < 1 or self.halo < 0:
            raise ValueError(f"multiple must be >= 1 and halo >= 0, got {self}")


NetworkSpec = SpairNetwork | ForeignNetwork
"""Description of a network of either kind."""


def spair_network(geometry: Mapping[str, Any]) -> SpairNetwork:
    """Make a `SpairNetwork` from JSON values.

    Unknown keys are left out.

    Raises:
        TypeError, ValueError: a value is missing or out of range.
    """
    return network_from_json(SpairNetwork, geometry)


def network_from_json(network_type: type, raw: Mapping[str, Any]) -> Any:
    """Make a description of a network from JSON values.

    Args:
        network_type: `SpairNetwork` or `ForeignNetwork`.
        raw: values by name; unknown names are left out.

    Raises:
        TypeError, ValueError: a value is missing or out of range.
    """
    known = {f.name for f in fields(network_type)}
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items() if k in known}
    return network_type(**values)

"""Protocols of the networks that a restorer runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .context import Context
from .costs import Tuning
from .planning import TilePath
from .spec import ForeignNetwork, SpairNetwork


@dataclass(frozen=True)
class Localization:
    """What Net_L says about a (piece of a) picture of H x W pixels, multiples of the network's multiple."""

    mask: np.ndarray
    """[1, 1, H, W] float32: 1 where distorted, else 0."""
    features: Mapping[int, np.ndarray]
    """scale -> [1, C, H / 2**scale, W / 2**scale] float32."""


class TwoStageNetwork(Protocol):
    """A network that first finds the distorted pixels and then repairs those."""

    @property
    def spec(self) -> SpairNetwork:
        """Sizes and halos."""
        ...

    @property
    def paths(self) -> Sequence[TilePath]:
        """The ways it has of computing stage 2, at least one."""
        ...

    @property
    def tuning(self) -> Tuning:
        """What those cost."""
        ...

    def localize(self, image: np.ndarray) -> Localization:
        """Stage 1 on [1, 3, H, W] float32 in 0..1."""
        ...

    def restore(self, image: np.ndarray, located: Localization, context: Context, path: TilePath) -> np.ndarray:
        """Stage 2 on a window, computed in one of the ways of `paths`: restored [1, 3, H, W] float32."""
        ...

    def close(self) -> None:
        """Release what the network owns."""
        ...


class WholeNetwork(Protocol):
    """Any other restoration network: a picture in, pictures out."""

    @property
    def spec(self) -> ForeignNetwork:
        """Multiple and halo."""
        ...

    @property
    def restored_name(self) -> str:
        """The output that is the restored picture."""
        ...

    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """[1, 3, H, W] float32 in 0..1 -> arrays by output name."""
        ...

    def close(self) -> None:
        """Release what the network owns."""
        ...

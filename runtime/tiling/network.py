"""Contract between a restorer and the networks that it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ..clock import StageClock
from .planning import Limits, TilePath
from .spec import BytesNetwork, NetworkSpec


class Scene(Protocol):
    """Memory of the earlier frames of a video.

    All pictures are [3, Hp, Wp] float32 in 0..1, and masks [Hp, Wp] bool.
    """

    def find(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
        """Find the distorted pixels that need not be computed.

        Args:
            image: the frame.
            mask: its distorted pixels.

        Returns:
            A part of the mask; None for no pixel.
        """
        ...

    def put(self, image: np.ndarray, taken: np.ndarray) -> np.ndarray:
        """Return a copy with earlier values at some pixels."""
        ...

    def keep(self, restored: np.ndarray) -> None:
        """Keep a restored frame.

        Nobody changes it later.
        """
        ...


@dataclass(frozen=True)
class Known:
    """Knowledge of a picture before a network sees it."""

    mask: np.ndarray | None = None
    """[H, W] bool, True at the pixels to restore; None lets the network find them. In the padding, a mask that is found
    and one that is given repeat their last row and column."""
    scene: Scene | None = None
    """Memory of the earlier frames of the same video; None for a picture of its own.

    Networks of one stage and engines of the whole network take nothing from it.
    """
    threshold: float | None = None
    """Probability above which a pixel counts as distorted, 0..1; None for the network's own.

    Only a network whose `takes_threshold` holds gets another.
    """


@dataclass(frozen=True)
class PaddedPicture:
    """Input of a network."""

    image: np.ndarray
    """[1, 3, Hp, Wp] float32 in 0..1, where Hp and Wp are H and W rounded up to the network's multiple."""
    size: tuple[int, int]
    """Height H and width W in pixels, without the padding at the bottom and at the right."""
    known: Known = Known()
    """Knowledge of it."""
    into: np.ndarray | None = None
    """[1, 3, Hp, Wp] float32 that a network with a gate may write the result to, at distorted pixels only; None for a
    whole picture of its own."""


@dataclass(frozen=True)
class TileCounts:
    """Numbers of tiles by the path that they took."""

    skipped: int = 0
    """Tiles without a distorted pixel, which are returned as they are."""
    packed: int = 0
    """Tiles computed on their distorted pixels only."""
    dense: int = 0
    """Tiles computed on every pixel."""

    def __add__(self, more: TileCounts) -> TileCounts:
        """Add the counts of another picture."""
        return TileCounts(self.skipped + more.skipped, self.packed + more.packed, self.dense + more.dense)

    def adding(self, path: str, more: int = 1) -> TileCounts:
        """Return these counts with more tiles of one path.

        Args:
            path: "skipped", "packed" or "dense".
            more: number of tiles to add.
        """
        return replace(self, **{path: getattr(self, path) + more})


@dataclass(frozen=True)
class NetworkOutput:
    """Output of a network."""

    image: np.ndarray
    """[1, 3, Hp, Wp] float32 as the network gave it, neither clipped nor cropped."""
    mask: np.ndarray | None
    """[Hp, Wp] bool, True at distorted pixels; None for a network without a mask."""
    tiles: TileCounts


@dataclass(frozen=True)
class BytesOutput:
    """Output of a network for an 8-bit picture."""

    image: np.ndarray
    """[H, W, 3] uint8, equal to the input where the mask is False if the network gates its output."""
    mask: np.ndarray
    """[H, W] bool, True at distorted pixels."""
    density: float
    """Share of the mask that is True."""
    tiles: TileCounts


class Network(Protocol):
    """Restoration network that a `Restorer` runs.

    `TwoStageNetwork` and `WholeNetwork` are the two kinds that run in tiles.
    """

    paths: Sequence[TilePath]
    """Paths by which the network can compute a tile, at least one."""

    @property
    def spec(self) -> NetworkSpec | BytesNetwork:
        """Sizes and halos."""
        ...

    def restore(self, picture: PaddedPicture, limits: Limits, clock: StageClock) -> NetworkOutput:
        """Restore one picture.

        Args:
            picture: the padded picture; it carries a mask only if `spec.takes_mask`.
            limits: bounds on the memory that the network takes.
            clock: gets the seconds of the network's own stages.

        Raises:
            GateError: the network gave values that are not finite.
        """
        ...

    def restore_bytes(self, image: np.ndarray, known: Known, limits: Limits, clock: StageClock) -> BytesOutput | None:
        """Restore an 8-bit picture without a detour through floats.

        Args:
            image: [H, W, 3] uint8.
            known: what is known of the picture.
            limits: sizes of blocks and tiles.
            clock: gets the seconds of the network's own stages.

        Returns:
            The output; None where the picture has to go through `restore`.
        """
        ...

    def close(self) -> None:
        """Release what the network owns; may be called twice."""
        ...

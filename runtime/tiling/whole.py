"""Restoration of pictures of any size with a foreign network.

The network runs on tiles with a halo, which are blended where they overlap.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from ..clock import StageClock
from ..errors import GateError, UserError
from .geometry import Box, feather_weights, round_down, tile_grid
from .network import BytesOutput, NetworkOutput, PaddedPicture, TileCounts
from .planning import Limits, TilePath
from .spec import ForeignNetwork

FEATHER = 16
"""Width in pixels of the strip over which neighbouring tiles are blended, in addition to the network's halo."""


class WholeNetwork(ABC):
    """Network that computes every pixel of a picture.

    A subclass sets `spec` and `restored_name`, and implements `run` and `close`.
    """

    spec: ForeignNetwork
    """Multiple and halo."""
    restored_name: str
    """Name of the output that is the restored picture."""
    paths: Sequence[TilePath] = ("dense",)

    @abstractmethod
    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Compute all outputs of a window.

        Args:
            image: [1, 3, H, W] float32 in 0..1; H and W are multiples of `spec.multiple`.

        Returns:
            Arrays by output name.
        """

    @abstractmethod
    def close(self) -> None:
        """Release what the network owns; may be called twice."""

    def restore_bytes(self, image: np.ndarray, clock: StageClock) -> BytesOutput | None:
        """Leave every picture to `restore`; see `Network.restore_bytes`."""
        return None

    def restore(self, picture: PaddedPicture, limits: Limits, clock: StageClock) -> NetworkOutput:
        """Restore one picture.

        Args:
            picture: the padded picture.
            limits: the side of the tiles.
            clock: gets the seconds of "model".

        Raises:
            UserError: the output is not a picture of the input's size.
            GateError: the network gave values that are not finite.
        """
        with clock.stage("model"):
            restored, tiles = _restore_tiles(self, picture.image, limits.side)
        return NetworkOutput(restored, None, TileCounts(dense=tiles))


def _restore_tiles(network: WholeNetwork, image: np.ndarray, tile: int) -> tuple[np.ndarray, int]:
    """Run a network over a picture, and count the tiles.

    Every pixel that gets a weight lies at least `spec.halo` pixels inside its window. So the result equals the untiled
    one if the halo is the receptive field; where the receptive field is not known, blending hides the seams.
    """
    area = Box(0, 0, image.shape[2], image.shape[3])
    multiple, halo = network.spec.multiple, network.spec.halo + FEATHER
    grid = tile_grid(area, core=round_down(tile, multiple), halo=halo, multiple=multiple)
    restored = np.zeros_like(image)
    for piece, weight in zip(grid, feather_weights(grid, area, FEATHER), strict=True):
        window = np.ascontiguousarray(piece.window.view(image))
        target = piece.window.view(restored)
        target += _run_window(network, window) * weight
    return restored, len(grid)


def _run_window(network: WholeNetwork, window: np.ndarray) -> np.ndarray:
    output = network.run(window)[network.restored_name]
    if output.shape != window.shape:
        raise UserError(
            f"the output {network.restored_name!r} has shape {output.shape}, "
            f"expected {window.shape}, the shape of the image; only a network with such an output can restore a picture"
        )
    if not np.isfinite(output).all():
        raise GateError("the network gave values that are not finite; use --precision fp32 or another checkpoint")
    return output

"""Restoring any size with somebody else's network: tiles with a halo, blended where they overlap."""

from __future__ import annotations

import numpy as np

from ..errors import GateError, UserError
from .geometry import Box, feather_weights, round_down, tile_grid
from .network import WholeNetwork

FEATHER = 16
"""Pixels over which neighbouring tiles are blended, in addition to the network's halo."""


def restore_whole(
    network: WholeNetwork, image: np.ndarray, tile: int, feather: int = FEATHER
) -> tuple[np.ndarray, int]:
    """Run a network over a picture tile by tile.

    Every pixel that gets a weight lies at least `spec.halo` pixels inside its window, so the result equals
    the untiled one if the halo is the receptive field; where that is unknown, blending hides the seams.

    Args:
        network: the network.
        image: [1, 3, Hp, Wp] float32 in 0..1, padded to `spec.multiple`.
        tile: side of the cores in pixels, rounded down to the multiple.
        feather: pixels of overlap that are blended.

    Returns:
        [1, 3, Hp, Wp] float32 as the network gave it (not clipped), and the number of tiles.

    Raises:
        UserError: the output is no picture of the input's size.
        GateError: the network gave values that are not finite.
    """
    area = Box(0, 0, image.shape[2], image.shape[3])
    multiple = network.spec.multiple
    halo = network.spec.halo + feather
    grid = tile_grid(area, core=round_down(tile, multiple), halo=halo, multiple=multiple)
    restored = np.zeros_like(image)
    for piece, weight in zip(grid, feather_weights(grid, area, feather), strict=True):
        window = np.ascontiguousarray(piece.window.view(image))
        output = network.run(window)[network.restored_name]
        if output.shape != window.shape:
            raise UserError(
                f"the output {network.restored_name!r} has shape {output.shape}, "
                f"expected that of the image, {window.shape}; only such networks can restore a picture"
            )
        if not np.isfinite(output).all():
            raise GateError("the network gave values that are not finite; use --precision fp32 or another checkpoint")
        target = piece.window.view(restored)
        target += output * weight
    return restored, len(grid)

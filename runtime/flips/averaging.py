"""Average of the results of mirrored pictures.

A network sees a mirrored picture as another one and errs in another way there, so that the mean errs less (geometric
self-ensemble, Timofte et al. 2016, without turns by 90 degrees, because rain falls downwards).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from ..errors import UserError
from ..tiling.network import TileCounts

FLIPS = (1, 2, 4)
"""Numbers of pictures to average: as it is; mirrored left to right as well; mirrored top to bottom besides."""
_AXES: tuple[tuple[int, ...], ...] = ((), (1,), (0,), (0, 1))
"""Axes of [H, W, C] that each of them is mirrored along, in this order."""


class Restored(Protocol):
    """Restored picture."""

    @property
    def image(self) -> np.ndarray:
        """[S H, S W, 3] float32."""

    @property
    def mask(self) -> np.ndarray | None:
        """[H, W] bool, or None without masks."""

    @property
    def tiles(self) -> TileCounts:
        """Numbers of tiles by path."""


def check_flips(flips: int) -> int:
    """Check a number of mirrored pictures.

    Raises:
        UserError: it is none of `FLIPS`.
    """
    if isinstance(flips, bool) or not isinstance(flips, (int, np.integer)) or flips not in FLIPS:
        raise UserError(f"the number of flips is {flips!r}, expected 1, 2 or 4")
    return flips


def average_flips(
    restore: Callable[[np.ndarray, np.ndarray | None], Restored],
    planes: np.ndarray,
    mask: np.ndarray | None,
    flips: int,
) -> tuple[np.ndarray, np.ndarray | None, TileCounts]:
    """Restore mirrored pictures and average what comes out.

    Args:
        restore: restores a picture [H, W, 3] float32 under a mask, or under its own where that is None.
        planes: [3, H, W] float32 in 0..1.
        mask: [H, W] bool, or None.
        flips: one of `FLIPS`.

    Returns:
        The mean [3, S H, S W] float32, equal to the picture bit for bit where no result differs from it; the pixels
        that were restored in some result, [H, W] bool, None without masks; and the tiles of all.
    """
    picture, tiles = np.moveaxis(planes, 0, 2), TileCounts()
    means: list[np.ndarray] = []
    found: np.ndarray | None = None
    for axes in _AXES[:flips]:
        given = None if mask is None else np.ascontiguousarray(np.flip(mask, axes))
        result = restore(np.ascontiguousarray(np.flip(picture, axes)), given)
        means.append(np.flip(result.image, axes))
        tiles += result.tiles
        if result.mask is not None:
            own = np.flip(result.mask, axes)
            found = own.copy() if found is None else found | own
    while len(means) > 1:  # means of two equal numbers are exact, a sum of four divided by four need not be
        means = [(first + second) / np.float32(2) for first, second in zip(means[::2], means[1::2], strict=True)]
    return np.moveaxis(means[0], 2, 0), found, tiles

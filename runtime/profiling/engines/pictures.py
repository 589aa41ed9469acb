"""Pictures whose own masks have different densities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SIDE = 64
"""Largest side in pixels of the patches that pictures are composed of."""


def compose_pictures(pixels: np.ndarray, mask: np.ndarray, densities: Sequence[float]) -> dict[float, np.ndarray]:
    """Compose pictures of two patches of a picture.

    An engine of the whole network takes no mask, so its time can be set against the density only by pictures that are
    distorted more and less. The most and the least distorted patch are repeated in the share that should give a
    density; what the network finds in the result has to be asked of the network. Densities beyond both patches give the
    patch that is nearest, and pictures that came up before are left out.

    Args:
        pixels: [H, W, 3].
        mask: [H, W] bool, the mask that the network found.
        densities: densities to aim at, 0..1.

    Returns:
        Pictures of the same size by density, [H, W, 3]; empty if the mask has the same density everywhere.
    """
    height, width = mask.shape
    side = max(min(SIDE, height // 2, width // 2), 1)
    corners = [(top, left) for top in range(0, height - side + 1, side) for left in range(0, width - side + 1, side)]
    found = {corner: float(_cut(mask, corner, side).mean()) for corner in corners}
    least, most = min(corners, key=found.__getitem__), max(corners, key=found.__getitem__)
    if found[least] == found[most]:
        return {}
    places = [(top, left) for top in range(0, height, side) for left in range(0, width, side)]
    order = np.random.default_rng(0).permutation(len(places))
    pictures: dict[float, np.ndarray] = {}
    counts: set[int] = set()
    for density in densities:
        share = (density - found[least]) / (found[most] - found[least])
        count = round(min(max(share, 0.0), 1.0) * len(places))
        if count not in counts:
            counts.add(count)
            distorted = {places[index] for index in order[:count]}
            pictures[density] = _tile(pixels, side, {place: most if place in distorted else least for place in places})
    return pictures


def _cut(array: np.ndarray, corner: tuple[int, int], side: int) -> np.ndarray:
    return array[corner[0] : corner[0] + side, corner[1] : corner[1] + side]


def _tile(pixels: np.ndarray, side: int, sources: dict[tuple[int, int], tuple[int, int]]) -> np.ndarray:
    """Fill a picture with patches, given by their corners."""
    made = np.empty_like(pixels)
    for (top, left), corner in sources.items():
        place = made[top : top + side, left : left + side]
        place[...] = _cut(pixels, corner, side)[: place.shape[0], : place.shape[1]]
    return made

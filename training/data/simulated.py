"""Pairs for validation, made from clean photographs."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

from ..simulators.base import Degraded, Simulator

SIDE = 320
"""Longest side in pixels of a validation picture: the middle of the photograph is cut out."""
DRAWS = 3
"""Number of degradations of each photograph."""
LEAST = 0.02
"""Share of distorted pixels that a degradation has at least, so that there is something to restore."""
TRIES = 20
"""Number of draws after which a weaker degradation is taken nevertheless."""
SEED = 20211011
"""Seed of all degradations; it does not depend on the run's own seed, so that runs can be compared."""


def degrade_photo(stem: str, photo: np.ndarray, simulator: Simulator) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the middle of a photograph degraded several times.

    Args:
        stem: name of the photograph; the same name and pixels give the same pictures.
        photo: [H, W, 3] uint8 RGB.
        simulator: the task's.

    Yields:
        A name such as `cat-1`, the degraded and the clean picture, [H, W, 3] uint8 of at most SIDE pixels a side.
    """
    margin = simulator.margin
    clean = _cut_middle(photo)
    surroundings = np.pad(clean, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    for draw in range(DRAWS):
        random = np.random.default_rng((SEED, zlib.crc32(stem.encode()), draw))
        degraded = _degrade(surroundings.astype(np.float32) / np.float32(255), simulator, random).image
        yield f"{stem}-{draw + 1}", np.rint(degraded * np.float32(255)).astype(np.uint8), clean


def _degrade(picture: np.ndarray, simulator: Simulator, random: np.random.Generator) -> Degraded:
    """Draw until enough pixels are distorted."""
    for _ in range(TRIES):
        degraded = simulator.simulate(picture, random, simulator.margin)
        if degraded.mask.mean() >= LEAST:
            break
    return degraded


def _cut_middle(photo: np.ndarray) -> np.ndarray:
    rows, columns = (max(0, size - SIDE) // 2 for size in photo.shape[:2])
    return np.ascontiguousarray(photo[rows : rows + SIDE, columns : columns + SIDE])

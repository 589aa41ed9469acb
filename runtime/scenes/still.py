"""Scenes that stand still between the frames of a video.

Where a camera and what it sees stand still, a streak of rain hides for one frame what the frame before showed. Net_L
looks at every frame; at the distorted pixels of cells that stand still the kept value of earlier frames is taken, and
Net_R computes the others alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

_SAMPLED = 4
"""Distance in pixels of the samples by which frames are compared."""
_CELL = 8
"""Side of a cell in samples."""
_FEWEST = 0.15
"""Share of the samples of a cell and its neighbours that must be clean to tell whether it stands still."""


@dataclass(frozen=True)
class Stillness:
    """Bounds on what counts as standing still."""

    change: float
    """Change of a clean pixel's colour up to which it has not changed, in levels of 0..1."""
    share: float
    """Share of the clean samples of a cell and its eight neighbours that may have changed."""
    whole: float
    """Share of all cells that must stand still, or none counts.

    Where the camera moves, flat parts only seem to rest.
    """
    frames: int
    """Number of frames after which a cell is computed anew at the latest; cells take turns."""


STILLNESS: Mapping[str, Stillness] = {
    "safe": Stillness(change=10 / 255, share=0.08, whole=0.8, frames=10),
    "fast": Stillness(change=12 / 255, share=0.15, whole=0.7, frames=30),
}
"""Bounds by name; docs/results/video.md has what each costs and saves."""


class StillScene:
    """Last restored frame of a video.

    Where the scene stands still, it may stand for the next one.
    """

    def __init__(self, stillness: Stillness) -> None:
        """Begin without a frame.

        Args:
            stillness: bounds on what counts as standing still.
        """
        self._bounds = stillness
        self._kept: np.ndarray | None = None
        self._frame = self._taken = self._distorted = 0

    @property
    def reused(self) -> float:
        """Share of all distorted pixels that were taken, 0..1."""
        return self._taken / self._distorted if self._distorted else 0.0

    def find(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
        """Find the distorted pixels of cells that stand still.

        See `Scene.find`.
        """
        self._frame += 1
        self._distorted += int(np.count_nonzero(mask))
        if self._kept is None or self._kept.shape != image.shape:
            return None
        still = self._find_still(image, mask)
        if still.mean() < self._bounds.whole:
            return None
        rows, columns = np.ogrid[: still.shape[0], : still.shape[1]]
        still &= (rows * still.shape[1] + columns + self._frame) % self._bounds.frames != 0
        side = _SAMPLED * _CELL
        wide = np.repeat(np.repeat(still, side, axis=0), side, axis=1)
        taken: np.ndarray = mask & wide[: mask.shape[0], : mask.shape[1]]
        count = int(np.count_nonzero(taken))
        self._taken += count
        return taken if count else None

    def _find_still(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return the cells that stand still, [rows, columns] bool."""
        assert self._kept is not None
        samples = (..., *(slice(_SAMPLED // 2, None, _SAMPLED),) * 2)
        clean = ~mask[samples]
        change = np.abs(image[samples] - self._kept[samples]).max(axis=0, initial=0.0)
        seen, changed = _sum_around(clean), _sum_around(clean & ~(change <= self._bounds.change))  # NaN has changed
        enough = _FEWEST * _sum_around(np.ones_like(clean))
        return (seen > 0) & (seen >= enough) & (changed <= self._bounds.share * seen)

    def put(self, image: np.ndarray, taken: np.ndarray) -> np.ndarray:
        """Return a copy with kept values, see `Scene.put`."""
        assert self._kept is not None
        patched = image.copy()
        np.copyto(patched, self._kept, where=taken)
        return patched

    def keep(self, restored: np.ndarray) -> None:
        """Keep the restored frame, see `Scene.keep`."""
        self._kept = restored


def _sum_around(samples: np.ndarray) -> np.ndarray:
    """Count the samples of each cell and its neighbours."""
    height, width = (-(-side // _CELL) for side in samples.shape)
    padded = np.zeros((height * _CELL, width * _CELL), np.int32)
    padded[: samples.shape[0], : samples.shape[1]] = samples
    cells = np.pad(padded.reshape(height, _CELL, width, _CELL).sum(axis=(1, 3)), 1)
    total = np.zeros((height, width), np.int32)
    for y in range(3):
        for x in range(3):
            total += cells[y : y + height, x : x + width]
    return total

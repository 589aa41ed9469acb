"""Scenes that stand still between the frames of a video.

Where a camera and what it sees stand still, a streak of rain hides for one frame what the frame before showed. Net_L
looks at every frame; at the distorted pixels of cells that stand still the kept value of earlier frames is taken, and
Net_R computes the others alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

_SAMPLED = 4
"""Distance in pixels of the samples by which frames are compared."""
_CELL = 8
"""Side of a cell in samples."""
_FEWEST = 0.15
"""Share of the samples of a cell, or of it and its neighbours, that must be clean to tell whether it stands still."""


@dataclass(frozen=True)
class Stillness:
    """Bounds on what counts as standing still."""

    change: float
    """Change of a clean pixel's colour up to which it has not changed, in levels of 0..1."""
    share: float
    """Share of the clean samples of a cell and its eight neighbours that may have changed."""
    own: float
    """Share of the cell's own clean samples that may have changed."""
    moving: float
    """Share from which on a cell moves, and none of its neighbours stands still."""
    whole: float
    """Share of all cells that must stand still, or none counts.

    Where the camera moves, flat parts only seem to rest.
    """
    frames: int
    """Number of restored frames after which a cell is computed anew at the latest; cells take turns.

    Frames that a camera dropped in between do not count: each restored frame is compared with the one restored before,
    so what may add up unseen is a change below the bound in each comparison, however far they are apart.
    """


STILLNESS: Mapping[str, Stillness] = {
    "safe": Stillness(change=12 / 255, share=0.1, own=0.1, moving=0.3, whole=0.6, frames=10),
    "fast": Stillness(change=12 / 255, share=0.1, own=1.0, moving=1.0, whole=0.7, frames=30),
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
        changed = clean & ~(change <= self._bounds.change)  # NaN has changed
        own = _Samples(_count_by_cell(clean), _count_by_cell(changed), _count_by_cell(np.ones_like(clean)))
        around = _Samples(*(_sum_around(counts) for counts in own))
        moves = own.are_enough() & (own.changed > self._bounds.moving * own.clean)
        rests = own.are_enough() & (own.changed <= self._bounds.own * own.clean)
        rests |= self._bounds.own >= 1.0  # then a cell may be told by its neighbours alone
        calm: np.ndarray = around.are_enough() & (around.changed <= self._bounds.share * around.clean)
        return calm & rests & (_sum_around(moves) == 0)

    def put(self, image: np.ndarray, taken: np.ndarray) -> np.ndarray:
        """Return a copy with kept values, see `Scene.put`."""
        assert self._kept is not None
        patched = image.copy()
        np.copyto(patched, self._kept, where=taken)
        return patched

    def keep(self, restored: np.ndarray) -> None:
        """Keep the restored frame, see `Scene.keep`."""
        self._kept = restored

    def forget(self) -> None:
        """Let the next frame be computed by itself."""
        self._kept = None


class _Samples(NamedTuple):
    """Counts of samples by cell, [rows, columns]."""

    clean: np.ndarray
    changed: np.ndarray
    """Clean ones that have changed."""
    all: np.ndarray

    def are_enough(self) -> np.ndarray:
        """Tell where the clean samples say something."""
        enough: np.ndarray = (self.clean > 0) & (self.clean >= _FEWEST * self.all)
        return enough


def _count_by_cell(samples: np.ndarray) -> np.ndarray:
    """Count the samples of each cell."""
    height, width = (-(-side // _CELL) for side in samples.shape)
    padded = np.zeros((height * _CELL, width * _CELL), np.int32)
    padded[: samples.shape[0], : samples.shape[1]] = samples
    counts: np.ndarray = padded.reshape(height, _CELL, width, _CELL).sum(axis=(1, 3))
    return counts


def _sum_around(counts: np.ndarray) -> np.ndarray:
    """Sum up over each cell and its eight neighbours."""
    height, width = counts.shape
    padded = np.pad(counts.astype(np.int32), 1)
    total = np.zeros((height, width), np.int32)
    for y in range(3):
        for x in range(3):
            total += padded[y : y + height, x : x + width]
    return total

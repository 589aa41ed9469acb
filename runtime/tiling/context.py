"""Statistics of a whole picture that every tile needs.

They are feature statistics and clean keys, added up over blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .geometry import Box
from .spec import SpairNetwork

_CHUNK = 8192
"""Pixels of a map that are summed up at a time; with 64 channels in float64 they take 4 MB."""


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations per channel.

    Pieces are merged in float64 as Chan, Golub and LeVeque (1979) do.

    Merging moments of count 0 changes nothing.
    """

    count: float
    """Number of values per channel."""
    mean: np.ndarray
    """[C] float64."""
    m2: np.ndarray
    """[C] float64, sum of (x - mean)**2."""

    @classmethod
    def none(cls, channels: int) -> Moments:
        """Return the moments of no values."""
        return cls(0.0, np.zeros(channels), np.zeros(channels))

    def merged(self, other: Moments) -> Moments:
        """Return the moments of both sets of values together.

        Large means do not cancel, because only their difference is squared.
        """
        count = self.count + other.count
        if self.count == 0 or other.count == 0:
            return self if other.count == 0 else other
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.count / count)
        m2 = self.m2 + other.m2 + delta**2 * (self.count * other.count / count)
        return Moments(count, mean, m2)

    @property
    def variance(self) -> np.ndarray:
        """[C] float64, divided by the count; 0 for no values."""
        return self.m2 / max(self.count, 1.0)


def split_moments(values: np.ndarray, mask: np.ndarray) -> tuple[Moments, Moments]:
    """Compute the moments of clean and of distorted values.

    Args:
        values: [C, n] float64, few enough to stay in the processor's cache, since they are read three times.
        mask: [n] float64, 0 at clean and 1 at distorted values.

    Returns:
        The moments of the clean values and those of the distorted ones.
    """
    pivot = values.mean(axis=1)  # near both means, so that the squares below do not cancel
    centred = values - pivot[:, None]
    squares = centred * centred

    def weighted(weights: np.ndarray) -> Moments:
        count = float(weights.sum())
        shift = centred @ weights / max(count, 1.0)
        return Moments(count, pivot + shift, np.maximum(squares @ weights - count * shift**2, 0.0))

    return weighted(1.0 - mask), weighted(mask)


@dataclass(frozen=True)
class Context:
    """Inputs of Net_R that describe the whole picture.

    All arrays are float32.
    """

    scale: Mapping[int, np.ndarray]
    """[1, C, 1, 1] by modulated scale, sqrt((var0 + eps) / (var1 + eps)), where 0 is clean and 1 is distorted."""
    shift: Mapping[int, np.ndarray]
    """[1, C, 1, 1] by modulated scale, mean0 - mean1 * scale."""
    keys: np.ndarray
    """[1, C, G, G], mean clean feature of each cell; 0 where the cell has no clean pixel."""
    key_mask: np.ndarray
    """[1, 1, G, G], 1 where the cell has a clean pixel, else 0."""

    @property
    def is_finite(self) -> bool:
        """Whether all values are finite.

        Features of FP16 networks can overflow.
        """
        arrays = [*self.scale.values(), *self.shift.values(), self.keys]
        return all(bool(np.isfinite(array).all()) for array in arrays)


class ContextStatistics:
    """Accumulator of a `Context` over blocks.

    The blocks partition a picture, and the result does not depend on how they do.
    """

    def __init__(self, spec: SpairNetwork, height: int, width: int) -> None:
        """Begin with no block.

        Args:
            spec: scales and grid.
            height: height of the padded picture in pixels, a multiple of `spec.multiple`.
            width: width of the padded picture in pixels, also a multiple.
        """
        self._spec = spec
        self._key_size = (height >> spec.key_scale, width >> spec.key_scale)
        self._clean: dict[int, Moments] = {}
        self._distorted: dict[int, Moments] = {}
        self._key_sums: np.ndarray | None = None  # [C, G, G] float64
        self._key_counts = np.zeros((spec.grid, spec.grid))

    def add(self, block: Box, mask: np.ndarray, features: Mapping[int, np.ndarray]) -> None:
        """Add one block.

        Args:
            block: its place in the picture, in full-size pixels; the edges are multiples of `spec.multiple`.
            mask: [h, w] of the block, as bool or as 0 and 1.
            features: [C, h / 2**scale, w / 2**scale] by scale, for every modulated scale and the key scale.
        """
        masks = mask_pyramid(mask, max(self._spec.scales))
        for scale in self._spec.modulated:
            clean, distorted = self.measure(features[scale], masks[scale])
            self._clean[scale] = _merged(self._clean.get(scale), clean)
            self._distorted[scale] = _merged(self._distorted.get(scale), distorted)
        key_scale = self._spec.key_scale
        sums, counts = self.sum_cells(block.reduced(2**key_scale), masks[key_scale], features[key_scale])
        self._key_sums = sums if self._key_sums is None else self._key_sums + sums
        self._key_counts += counts

    def finish(self) -> Context:
        """Return the context of all blocks added so far.

        Raises:
            ValueError: no block was added.
        """
        if self._key_sums is None:
            raise ValueError("no block was added")
        scale, shift = {}, {}
        for s in self._spec.modulated:
            scale[s], shift[s] = modulation(self._clean[s], self._distorted[s], self._spec.eps)
        keys = self._key_sums / np.maximum(self._key_counts, 1.0)
        present = self._key_counts > 0
        return Context(scale, shift, keys[None].astype(np.float32), present[None, None].astype(np.float32))

    def measure(self, features: np.ndarray, mask: np.ndarray) -> tuple[Moments, Moments]:
        """Compute the moments of clean and of distorted pixels.

        Args:
            features: [C, h, w] float32.
            mask: [h, w] bool.
        """
        return _map_moments(features, mask)

    def sum_cells(self, box: Box, mask: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sum up the clean features of each cell.

        Args:
            box: place of the features in the picture, at the key scale.
            mask: [h, w] bool.
            features: [C, h, w] float32.

        Returns:
            Sums [C, grid, grid] and numbers of clean pixels [grid, grid], float64.
        """
        rows = _membership(box.top, box.bottom, self._key_size[0], self._spec.grid)  # [h, G]
        columns = _membership(box.left, box.right, self._key_size[1], self._spec.grid)  # [w, G]
        clean = (~mask).astype(np.float64)
        # Distorted pixels are replaced, not multiplied by 0, because 0 times NaN is NaN.
        values = np.where(mask, np.float32(0), features)
        sums = np.stack([rows.T @ (channel.astype(np.float64) @ columns) for channel in values])
        return sums, rows.T @ clean @ columns


def mask_pyramid(mask: np.ndarray, levels: int) -> list[np.ndarray]:
    """Reduce a mask to coarser scales.

    A pixel of a coarser scale is distorted if any of its 2x2 pixels is, so no distorted pixel gets lost.

    Args:
        mask: [H, W], as bool or as 0 and 1; H and W are multiples of 2**levels.
        levels: the coarsest scale.

    Returns:
        [H / 2**s, W / 2**s] bool for each scale s of 0..levels.
    """
    pyramid = [np.asarray(mask, dtype=bool)]
    for _ in range(levels):
        last = pyramid[-1]
        rows = np.ascontiguousarray(last[0::2] | last[1::2])
        pyramid.append(rows.view(np.uint16) != 0)  # two neighbours at once
    return pyramid


def modulation(clean: Moments, distorted: Moments, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute the affine map from distorted to clean statistics.

    It gives distorted features the mean and variance of clean ones. If either set is empty, it changes nothing.

    Args:
        clean: moments of the clean features.
        distorted: moments of the distorted features.
        eps: number added to both variances before their ratio is taken.

    Returns:
        Scale and shift, [1, C, 1, 1] float32 each.
    """
    scale, shift = np.ones_like(clean.mean), np.zeros_like(clean.mean)
    if clean.count and distorted.count:
        scale = np.sqrt((clean.variance + eps) / (distorted.variance + eps))
        shift = clean.mean - distorted.mean * scale
    return _as_input(scale), _as_input(shift)


def _as_input(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32).reshape(1, -1, 1, 1)


def _merged(sofar: Moments | None, new: Moments) -> Moments:
    return new if sofar is None else sofar.merged(new)


def _map_moments(features: np.ndarray, mask: np.ndarray) -> tuple[Moments, Moments]:
    """Compute the moments of clean and of distorted pixels.

    Args:
        features: [C, h, w].
        mask: [h, w] bool.
    """
    channels, height, width = features.shape
    rows = max(_CHUNK // width, 1)
    clean = distorted = Moments.none(channels)
    for top in range(0, height, rows):
        values = features[:, top : top + rows].reshape(channels, -1).astype(np.float64)
        part_clean, part_distorted = split_moments(values, mask[top : top + rows].reshape(-1).astype(np.float64))
        clean, distorted = clean.merged(part_clean), distorted.merged(part_distorted)
    return clean, distorted


def _membership(start: int, stop: int, length: int, grid: int) -> np.ndarray:
    """Assign rows or columns to cells.

    Returns:
        [stop - start, grid] float64, 1 where row (or column) r lies in cell floor(r * grid / length), else 0.
    """
    cells = np.arange(start, stop) * grid // length
    return (cells[:, None] == np.arange(grid)).astype(np.float64)

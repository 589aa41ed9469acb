"""Distorted pixels of a window at each scale, as rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..tiling.context import Context
from ..tiling.geometry import Box
from .library import Library, ThreadPool
from .library.structures import Compaction
from .memory.buffers import Buffers
from .memory.maps import read_planes


@dataclass(frozen=True)
class Rows:
    """Rows of the pixels of a mask."""

    count: int
    place: np.ndarray
    """[count] int32, index of each row's pixel in `numbers`."""
    numbers: np.ndarray
    """[(H + 2) * (W + 2)] int32, 1 + the row of each pixel, or 0."""
    near: np.ndarray | None
    """[count] uint16, which of the 9 neighbours have rows; None where that was not asked for."""

    @cached_property
    def addresses(self) -> tuple[int, int, int | None]:
        """Addresses of the numbers, places and neighbours."""
        near = None if self.near is None else self.near.ctypes.data
        return self.numbers.ctypes.data, self.place.ctypes.data, near


@dataclass(frozen=True)
class Site:
    """Distorted pixels of one scale."""

    height: int
    width: int
    mask: np.ndarray
    """[H, W] uint8, 0 or 1."""
    rows: Rows
    picture: np.ndarray
    """[H, W, 3] float32."""

    @property
    def wide(self) -> int:
        """Width of the map of numbers."""
        return self.width + 2


@dataclass(frozen=True)
class Inputs:
    """Window that Net_R restores."""

    planes: np.ndarray
    """[3, H, W] float32, whose lines are contiguous."""
    mask: np.ndarray
    """[H, W] uint8, 0 or 1, contiguous."""
    features: Mapping[int, np.ndarray]
    """[C, H / 2**s, W / 2**s] float32 by scale, views as of `Map.as_planes`."""
    context: Context
    """Statistics of the whole picture."""
    core: Box
    """Pixels to keep."""
    out: np.ndarray
    """[3, h, w] float32 for the core, whose lines are contiguous; its distorted pixels are replaced."""


class SiteMaker:
    """Maker of sites, with the buffers of one caller."""

    def __init__(self, library: Library, pool: ThreadPool, buffers: Buffers) -> None:
        self._library, self._pool, self._buffers = library, pool, buffers

    def make(self, mask: np.ndarray, planes: np.ndarray, scales: int) -> list[Site]:
        """List the distorted pixels of a window at every scale.

        Args:
            mask: [H, W] uint8, 0 or 1, contiguous.
            planes: [3, H, W] float32, whose lines are contiguous.
            scales: number of scales; 2 ** (scales - 1) divides H and W.
        """
        _, height, width = planes.shape
        picture = self._buffers.take(("pixels", 0), planes.size)
        read_planes(self._library, self._pool, planes, picture.ctypes.data)
        sites = [Site(height, width, mask, self.list_rows(("rows", 0), mask, ordered=True), picture)]
        for scale in range(1, scales):
            sites.append(self._halve(sites[-1], scale))
        return sites

    def _halve(self, fine: Site, scale: int) -> Site:
        height, width = fine.height // 2, fine.width // 2
        mask = self._buffers.take(("mask", scale), height * width, np.uint8).reshape(height, width)
        picture = self._buffers.take(("pixels", scale), height * width * 3)
        handle = self._pool.handle
        self._library.halve_mask(handle, fine.mask.ctypes.data, height, width, mask.ctypes.data)
        self._library.halve_pixels_f32(handle, fine.picture.ctypes.data, height, width, picture.ctypes.data)
        return Site(height, width, mask, self.list_rows(("rows", scale), mask, ordered=True), picture)

    def list_around(self, site: Site) -> Rows:
        """List the distorted pixels of a site and their neighbours."""
        grown = self._buffers.take("grown", site.mask.size, np.uint8).reshape(site.mask.shape)
        self._library.grow_mask(self._pool.handle, site.mask.ctypes.data, site.height, site.width, grown.ctypes.data)
        return self.list_rows("around", grown, ordered=False)

    def list_rows(self, name: object, mask: np.ndarray, *, ordered: bool) -> Rows:
        """List the pixels of a mask.

        Args:
            name: name of their buffers.
            mask: [H, W] uint8, 0 or 1.
            ordered: order chunks of rows by their neighbours and tell these; else raster order.
        """
        height, width = mask.shape
        first = self._buffers.take((name, "first"), height + 1, np.int64)
        numbers = self._buffers.take((name, "numbers"), (height + 2) * (width + 2), np.int32)
        call = Compaction(mask.ctypes.data, first.ctypes.data, numbers.ctypes.data)
        call.height, call.width = height, width
        count = self._library.call("count_rows", self._pool, call)
        place = self._buffers.take((name, "place"), count, np.int32)
        near = self._buffers.take((name, "near"), count, np.uint16) if ordered else None
        call.place, call.near = place.ctypes.data, None if near is None else near.ctypes.data
        self._library.call("list_rows", self._pool, call)
        return Rows(count, place, numbers, near)

    def find_parents(self, fine: Site, coarse: Site) -> np.ndarray:
        """Find the coarse row of each fine one.

        Returns:
            [rows of `fine`] int32, 4 * the coarse row + the position in its 2x2 block.
        """
        rows = fine.rows
        parents = self._buffers.take("parents", rows.count, np.int32)
        self._library.find_parents(
            self._pool.handle,
            rows.place.ctypes.data,
            rows.count,
            fine.width,
            coarse.rows.numbers.ctypes.data,
            parents.ctypes.data,
        )
        return parents

"""Restoring any size with a two-stage network in bounded memory, equal to running it on the whole picture.

Stage 1 runs on blocks (one block when the picture is small enough) and yields the mask and the statistics of
the whole picture. Stage 2 runs on tiles whose mask is not empty. With more than one block, features are
not kept but computed again for the blocks that need them, so memory is bounded by one block and the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .context import Context, ContextStatistics
from .errors import GateError
from .manifest import SpairNetwork
from .networks import Localization, TwoStageNetwork
from .stages import StageClock
from .tiling import Box, Tile, round_down, round_up, tile_grid


@dataclass(frozen=True)
class TileCounts:
    """How many tiles took which way."""

    skipped: int = 0
    """Mask empty: returned as they are."""
    packed: int = 0
    """Computed on their distorted pixels only."""
    dense: int = 0
    """Computed on every pixel."""

    def adding(self, path: str) -> TileCounts:
        """These counts with one more tile of that path ("skipped", "packed" or "dense")."""
        counts = {"skipped": self.skipped, "packed": self.packed, "dense": self.dense}
        return TileCounts(**{**counts, path: counts[path] + 1})


@dataclass(frozen=True)
class TilePlan:
    """How a picture is cut."""

    tile: int = 512
    """Side of the cores of stage 2 in pixels; rounded down to the network's multiple."""
    block_pixels: int = 4_000_000
    """Pixels up to which stage 1 sees the picture in one piece; else it is cut into blocks of that size."""

    def __post_init__(self) -> None:
        if self.tile < 1 or self.block_pixels < 1:
            raise ValueError(f"tile and block_pixels must be >= 1, got {self.tile} and {self.block_pixels}")


class TwoStageRun:
    """One picture on its way through a two-stage network."""

    def __init__(
        self,
        network: TwoStageNetwork,
        plan: TilePlan,
        image: np.ndarray,
        size: tuple[int, int],
        given: np.ndarray | None = None,
    ) -> None:
        """`image` is [1, 3, Hp, Wp] float32, padded to the multiple; `size` is (H, W) without padding.

        `given` [H, W] bool is used instead of Net_L's mask.
        """
        self._network, self._spec = network, network.spec
        self._image = image
        self._size = size
        self._area = Box(0, 0, image.shape[2], image.shape[3])
        self._tile = round_down(plan.tile, self._spec.multiple)
        self._blocks = _block_grid(self._area, plan.block_pixels, self._spec)
        self._kept: dict[Box, Localization] = {}
        self._given = given
        self.mask = np.zeros(image.shape[2:], dtype=bool)
        """[Hp, Wp] bool: distorted pixels, padding included; complete after `localize`."""
        self.restored = image
        """[1, 3, Hp, Wp] float32; complete after `restore`."""
        self.counts = TileCounts()
        """Tiles by path; complete after `restore`."""

    def run(self, clock: StageClock) -> None:
        """Do both stages; stages of the clock: net_l, context, net_r.

        Raises:
            GateError: the network gave values that are not finite.
        """
        context = self.localize(clock)
        self.restore(context, clock)

    def localize(self, clock: StageClock) -> Context:
        """Find the mask and the statistics of the whole picture, block by block."""
        if self._given is not None:  # padded by its edge, as the picture is
            down, right = (whole - part for whole, part in zip(self.mask.shape, self._size, strict=True))
            self.mask[...] = np.pad(self._given, ((0, down), (0, right)), mode="edge")
        statistics = ContextStatistics(self._spec, self._area.height, self._area.width)
        for block in self._blocks:
            with clock.stage("net_l"):
                located = self._network.localize(_cut(self._image, block.window))
            with clock.stage("context"):
                inner = _crop(located, block.core_in_window)
                if self._given is None:
                    block.core.view(self.mask)[...] = inner.mask[0, 0] > 0.5
                features = {scale: feature[0] for scale, feature in inner.features.items()}
                statistics.add(block.core, block.core.view(self.mask), features)
            if len(self._blocks) == 1:
                self._kept[block.core] = located
        with clock.stage("context"):
            context = statistics.finish()
        if not context.is_finite:
            raise GateError(
                "the localization network gave values that are not finite; use --precision fp32 or another checkpoint"
            )
        return context

    def restore(self, context: Context, clock: StageClock) -> None:
        """Repair the tiles whose mask is not empty."""
        self.restored = self._image.copy()
        for block in self._blocks:
            tiles = tile_grid(
                block.core,
                core=self._tile,
                halo=self._spec.halo_r,
                multiple=self._spec.multiple,
                bounds=self._area,
            )
            active = [tile for tile in tiles if self._is_active(tile.core)]
            for _ in range(len(tiles) - len(active)):
                self.counts = self.counts.adding("skipped")
            if active:
                window, located = self._features(block, clock)
                with clock.stage("net_r"):
                    for tile in active:
                        self._restore_tile(tile, window, located, context)

    def _is_active(self, core: Box) -> bool:
        """Padding does not count: nobody sees it."""
        if not self._spec.gate_output:
            return True
        height, width = self._size
        return bool(core.view(self.mask[:height, :width]).any())

    def _features(self, block: Tile, clock: StageClock) -> tuple[Box, Localization]:
        """The features of a block and of a halo_r around it, with the window they cover."""
        if block.core in self._kept:
            return block.core, self._kept[block.core]
        valid = block.core.grown(round_up(self._spec.halo_r, self._spec.multiple), self._area)
        window = valid.grown(round_up(self._spec.halo_l, self._spec.multiple), self._area)
        with clock.stage("net_l"):
            located = self._network.localize(_cut(self._image, window))
        return valid, _crop(located, valid.relative_to(window))

    def _restore_tile(self, tile: Tile, window: Box, located: Localization, context: Context) -> None:
        # The mask of pass 1 holds everywhere: a pixel at the threshold must not flip between windows.
        mask = _cut(self.mask[None, None], tile.window).astype(np.float32)
        features = _crop_features(located.features, tile.window.relative_to(window))
        image = _cut(self._image, tile.window)
        restored, path = self._network.restore(image, Localization(mask, features), context)
        core = _cut(restored, tile.core_in_window)
        if not np.isfinite(core).all():
            raise GateError(
                "the restoration network gave values that are not finite; use --precision fp32 or another checkpoint"
            )
        where = tile.core.view(self.mask) if self._spec.gate_output else True
        np.copyto(tile.core.view(self.restored), core, where=where)
        self.counts = self.counts.adding(path)


def _block_grid(area: Box, block_pixels: int, spec: SpairNetwork) -> tuple[Tile, ...]:
    """One block if the picture is small enough, else squares of at most `block_pixels` with Net_L's halo."""
    if area.height * area.width <= block_pixels:
        return (Tile(area, area),)
    side = round_down(int(block_pixels**0.5), spec.multiple)
    return tile_grid(area, core=side, halo=spec.halo_l, multiple=spec.multiple)


def _cut(array: np.ndarray, box: Box) -> np.ndarray:
    return np.ascontiguousarray(box.view(array))


def _crop(located: Localization, box: Box) -> Localization:
    return Localization(box.view(located.mask), _crop_features(located.features, box))


def _crop_features(features: Mapping[int, np.ndarray], box: Box) -> dict[int, np.ndarray]:
    return {scale: box.reduced(2**scale).view(feature) for scale, feature in features.items()}

"""Restoration of pictures of any size with a two-stage network.

The memory is bounded, and the result equals that of the network on the whole picture. Stage 1 runs on blocks (a small
picture is one block) and yields the mask and the statistics of the whole picture. Stage 2 runs on the pieces that a
plan cuts each block into. With more than one block, features are not kept but computed again for the blocks that need
them, so that the memory is bounded by one block and the picture.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..clock import StageClock
from ..errors import GateError
from .context import Context, ContextStatistics
from .costs import Tuning
from .geometry import Box, Tile, round_down, round_up, tile_grid
from .memory import check_window
from .network import BytesOutput, Known, NetworkOutput, PaddedPicture, Scene, TileCounts
from .planning import Limits, Piece, Planner, TilePath, WorkMap
from .spec import SpairNetwork, find_logit


@dataclass(frozen=True)
class Localization:
    """Mask and features that Net_L finds in a window.

    The window has H x W pixels, which are multiples of the network's multiple.
    """

    mask: np.ndarray
    """[1, 1, H, W] float32, 1 where distorted, else 0."""
    features: Mapping[int, np.ndarray]
    """[1, C, H / 2**scale, W / 2**scale] float32 by scale."""


@dataclass(frozen=True)
class PieceWindow:
    """Pixels that stage 2 sees of a piece."""

    image: np.ndarray
    """[1, 3, H, W] float32 in 0..1, a view."""
    mask: np.ndarray
    """[H, W] bool, True at the pixels to restore, a view."""
    features: Mapping[int, np.ndarray]
    """[1, C, H / 2**scale, W / 2**scale] float32 by scale."""
    core: Box
    """Pixels to keep."""


class TwoStageNetwork(ABC):
    """Network that finds the distorted pixels, then repairs them.

    A subclass sets `spec`, `paths` and `tuning`, and implements `localize`, `restore_window` and `close`.
    """

    spec: SpairNetwork
    """Sizes and halos."""
    paths: Sequence[TilePath]
    """Paths by which stage 2 can be computed, at least one."""
    tuning: Tuning
    """Costs of these paths."""
    in_main_memory: bool = False
    """Whether the layers run in main memory, as ONNX Runtime's and PyTorch's do on a CPU, so that it can be planned."""

    @abstractmethod
    def localize(self, image: np.ndarray, logit: float | None = None) -> Localization:
        """Run stage 1 on a window.

        Args:
            image: [1, 3, H, W] float32 in 0..1; H and W are multiples of `spec.multiple`.
            logit: logit above which a pixel counts as distorted, see `find_logit`; None for the network's own. It is
                given only where `takes_threshold` holds.
        """

    @abstractmethod
    def restore_window(self, image: np.ndarray, located: Localization, context: Context, path: TilePath) -> np.ndarray:
        """Run stage 2 on a window.

        Args:
            image: [1, 3, H, W] float32 in 0..1.
            located: mask and features of the same pixels.
            context: statistics of the whole picture.
            path: one of `paths`.

        Returns:
            The restored window, [1, 3, H, W] float32.
        """

    def restore_core(self, window: PieceWindow, context: Context, path: TilePath, target: np.ndarray) -> bool:
        """Restore the core of a window with stage 2.

        Args:
            window: the window.
            context: statistics of the whole picture.
            path: one of `paths`.
            target: [1, 3, h, w] float32, the place of the core; with a gate, its distorted pixels alone are changed.

        Returns:
            Whether all values are finite; if not, `target` is as it was or partly changed.
        """
        # Every window takes the mask of stage 1: a pixel at the threshold must not differ between windows.
        located = Localization(np.ascontiguousarray(window.mask)[None, None].astype(np.float32), window.features)
        core = window.core.view(self.restore_window(np.ascontiguousarray(window.image), located, context, path))
        if not np.isfinite(core).all():
            return False
        np.copyto(target, core, where=window.core.view(window.mask) if self.spec.gate_output else True)
        return True

    @abstractmethod
    def close(self) -> None:
        """Release what the network owns; may be called twice."""

    @property
    def takes_threshold(self) -> bool:
        """Whether stage 1 takes another threshold than its own."""
        return False

    @property
    def keeps_scenes(self) -> bool:
        """Whether it takes distorted pixels from a scene."""
        return self.spec.gate_output

    def make_statistics(self, height: int, width: int) -> ContextStatistics:
        """Begin the statistics of a picture of this padded size."""
        return ContextStatistics(self.spec, height, width)

    def restore_bytes(self, image: np.ndarray, known: Known, limits: Limits, clock: StageClock) -> BytesOutput | None:
        """Leave every picture to `restore`; see `Network.restore_bytes`."""
        return None

    def restore(self, picture: PaddedPicture, limits: Limits, clock: StageClock) -> NetworkOutput:
        """Restore one picture.

        Args:
            picture: the padded picture.
            limits: bounds on blocks and pieces.
            clock: gets the seconds of "net_l", "context" and "net_r".

        Raises:
            GateError: the network gave values that are not finite.
        """
        run = TwoStageRun(self, picture, limits)
        run.run(clock)
        return NetworkOutput(run.restored, run.mask, run.counts)


class TwoStageRun:
    """Restoration of one picture with a two-stage network."""

    def __init__(self, network: TwoStageNetwork, picture: PaddedPicture, limits: Limits) -> None:
        self._network, self._spec = network, network.spec
        self._image, self._size, self._given = picture.image, picture.size, picture.known.mask
        self._scene, self._into = picture.known.scene, picture.into
        threshold = picture.known.threshold
        self._logit = {} if threshold is None else {"logit": find_logit(threshold)}
        self._area = Box(0, 0, *picture.image.shape[2:])
        self._planner = Planner(self._spec, network.tuning, network.paths, limits)
        self._blocks = _block_grid(self._area, limits.block_pixels, self._spec)
        self._kept: dict[Box, Localization] = {}
        self.mask = np.zeros(picture.image.shape[2:], dtype=bool)
        """[Hp, Wp] bool, True at distorted pixels; in the padding it repeats its last row and column. Complete after
        `localize`."""
        self._open = self.mask
        """[Hp, Wp] bool, True at the pixels that Net_R computes; those that the scene gives are not among them."""
        self.restored = picture.image
        """[1, 3, Hp, Wp] float32; complete after `restore`, at distorted pixels only if the picture has `into`."""
        self.counts = TileCounts()
        """Tiles by path; complete after `restore`."""

    def run(self, clock: StageClock) -> None:
        """Run both stages.

        Args:
            clock: gets the seconds of "net_l", "context" and "net_r".

        Raises:
            GateError: the network gave values that are not finite.
        """
        context = self.localize(clock)
        if context is None:
            self.counts = TileCounts(skipped=1)
        else:
            if self._scene is not None:
                with clock.stage("scene"):
                    self._take_from(self._scene)
            self.restore(context, clock)
        if self._scene is not None:
            self._scene.keep(self.restored[0])

    def _take_from(self, scene: Scene) -> None:
        """Take what earlier frames showed in place of computing it."""
        taken = scene.find(self._image[0], self.mask)
        if taken is not None:
            self._open = self.mask & ~taken
            self._image = scene.put(self._image[0], taken)[None]

    def localize(self, clock: StageClock) -> Context | None:
        """Find the mask and the statistics of the whole picture.

        Returns:
            The statistics; None if no pixel has to be restored.
        """
        if self._given is not None:
            _repeat_edge(self._given, self.mask)
        statistics = self._network.make_statistics(self._area.height, self._area.width)
        for block in self._blocks:
            self._localize_block(block, statistics, clock)
        if self._is_clean():
            return None
        with clock.stage("context"):
            context = statistics.finish()
        _check_finite(context.is_finite)
        return context

    def _localize_block(self, block: Tile, statistics: ContextStatistics, clock: StageClock) -> None:
        # This is a separate method, so that the features of one block are freed before the next one is computed.
        with clock.stage("net_l"):
            located = self._network.localize(_cut(self._image, block.window), **self._logit)
        with clock.stage("context"):
            inner = _crop(located, block.core_in_window)
            if self._given is None:
                self._keep_mask(block.core, inner.mask[0, 0])
            if self._is_clean():
                _check_finite(all(np.isfinite(feature.sum()) for feature in inner.features.values()))
                return
            features = {scale: feature[0] for scale, feature in inner.features.items()}
            statistics.add(block.core, block.core.view(self.mask), features)
        if len(self._blocks) == 1:
            self._kept[block.core] = located

    def _keep_mask(self, core: Box, found: np.ndarray) -> None:
        """Keep what Net_L found inside the picture.

        Net_R and the statistics must not depend on whether a mask was found or given, and a mask that is given has no
        padding. Blocks begin at multiples, so every block holds the last row and column of its own padding.
        """
        height, width = self._size[0] - core.top, self._size[1] - core.left
        _repeat_edge(found[:height, :width] > 0.5, core.view(self.mask))

    def _is_clean(self) -> bool:
        """Tell whether certainly no pixel has to be computed."""
        return len(self._blocks) == 1 and self._spec.gate_output and not self.mask.any()

    def restore(self, context: Context, clock: StageClock) -> None:
        """Repair the pieces whose mask is not empty."""
        self.restored = self._image.copy() if self._into is None else self._into
        work = WorkMap(self._open, self._spec)
        for block in self._blocks:
            pieces, skipped = self._planner.plan(work, block.core, self._area)
            self.counts = self.counts.adding("skipped", skipped)
            if pieces:
                self._check_memory(pieces)
                self._restore_block(block, pieces, context, clock)

    def _check_memory(self, pieces: list[Piece]) -> None:
        """Refuse the largest dense piece if memory is short."""
        windows = [piece.tile.window for piece in pieces if piece.path == "dense"]
        if windows and self._network.in_main_memory:
            largest = max(windows, key=lambda window: window.height * window.width)
            check_window(self._spec, largest.height, largest.width)

    def _restore_block(self, block: Tile, pieces: list[Piece], context: Context, clock: StageClock) -> None:
        window, located = self._features(block, clock)
        with clock.stage("net_r"):
            for piece in pieces:
                self._restore_piece(piece, window, located, context)

    def _features(self, block: Tile, clock: StageClock) -> tuple[Box, Localization]:
        """Return the features of a block and its halo.

        Returns:
            The window that the features cover, which is the block and `halo_r` pixels around it, and the features.
        """
        if block.core in self._kept:
            return block.core, self._kept[block.core]
        valid = block.core.grown(round_up(self._spec.halo_r, self._spec.multiple), self._area)
        window = valid.grown(round_up(self._spec.halo_l, self._spec.multiple), self._area)
        with clock.stage("net_l"):
            located = self._network.localize(_cut(self._image, window), **self._logit)
        return valid, _crop(located, valid.relative_to(window))

    def _restore_piece(self, piece: Piece, window: Box, located: Localization, context: Context) -> None:
        tile = piece.tile
        features = _crop_features(located.features, tile.window.relative_to(window))
        mask, image = tile.window.view(self._open), tile.window.view(self._image)
        seen = PieceWindow(image, mask, features, tile.core_in_window)
        if not self._network.restore_core(seen, context, piece.path, tile.core.view(self.restored)):
            raise GateError(
                "the restoration network gave values that are not finite; use --precision fp32 or another checkpoint"
            )
        self.counts = self.counts.adding(piece.path)


def _repeat_edge(mask: np.ndarray, target: np.ndarray) -> None:
    """Write a mask, and repeat its last row and column."""
    height, width = mask.shape
    target[:height, :width] = mask
    target[:height, width:] = mask[:, -1:]
    target[height:] = target[height - 1]


def _check_finite(finite: bool) -> None:
    if not finite:  # features of FP16 networks can overflow
        raise GateError(
            "the localization network gave values that are not finite; use --precision fp32 or another checkpoint"
        )


def _block_grid(area: Box, block_pixels: int, spec: SpairNetwork) -> tuple[Tile, ...]:
    """Cut a picture into the blocks of stage 1.

    A picture of at most `block_pixels` pixels is one block. A larger one is cut into squares of at most that size,
    whose windows add Net_L's halo.
    """
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

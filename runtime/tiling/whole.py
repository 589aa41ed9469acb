"""Restoration of pictures of any size with a foreign network.

The network runs on tiles with a halo, which are blended where they overlap.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np

from ..arrays import enlarge
from ..clock import StageClock
from ..errors import GateError, UserError
from .geometry import Box
from .memory import check_whole
from .network import BytesOutput, Known, NetworkOutput, PaddedPicture, TileCounts
from .pieces import cut_pieces, enlarge_box
from .planning import Limits, TilePath
from .spec import WHOLE_PICTURE, ForeignNetwork

LUMA = np.array([0.299, 0.587, 0.114], np.float32).reshape(1, 3, 1, 1)
"""Weights of red, green and blue in BT.601 luma of full range."""


class WholeNetwork(ABC):
    """Network that computes every pixel of a picture.

    A subclass sets `spec` and `restored_name`, and implements `run` and `close`.
    """

    spec: ForeignNetwork
    """Multiple and halo."""
    restored_name: str
    """Name of the output that is the restored picture."""
    paths: Sequence[TilePath] = ("dense",)
    find_free_memory: Callable[[], int | None] | None = None
    """Function that returns the bytes of free memory; None where memory is not looked at."""
    _granted: float = 0.0

    @abstractmethod
    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Compute all outputs of a window.

        Args:
            image: [1, C, H, W] float32 in 0..1; C is `spec.picture_channels`, H and W are multiples of `spec.multiple`.

        Returns:
            Arrays by output name; the restored picture is [1, C, `spec.scale` H, `spec.scale` W].
        """

    @abstractmethod
    def close(self) -> None:
        """Release what the network owns; may be called twice."""

    def restore_bytes(self, image: np.ndarray, known: Known, limits: Limits, clock: StageClock) -> BytesOutput | None:
        """Leave every picture to `restore`; see `Network.restore_bytes`."""
        return None

    def restore(self, picture: PaddedPicture, limits: Limits, clock: StageClock) -> NetworkOutput:
        """Restore one picture.

        Args:
            picture: the padded picture.
            limits: the side of the tiles.
            clock: gets the seconds of "model".

        Raises:
            UserError: the output is not a picture of the input's size.
            GateError: the network gave values that are not finite.
        """
        with clock.stage("model"):
            self._check_memory(picture, limits)
            if self.spec.picture_channels == 3:
                restored, tiles = _restore_tiles(self, picture.image, limits.side)
            else:
                restored, tiles = _restore_planes(self, picture.image, limits.side)
        return NetworkOutput(restored, None, TileCounts(dense=tiles))

    def _check_memory(self, picture: PaddedPicture, limits: Limits) -> None:
        """Refuse a picture that must be seen whole and cannot.

        Memory that a run took stays with the library that ran it, which uses it again.
        """
        if limits.side < WHOLE_PICTURE or self.spec.reach != "whole" or self.spec.sizes:
            return
        if self.find_free_memory is not None:
            size = (picture.image.shape[2], picture.image.shape[3])
            needed = check_whole(self.spec, size, self.find_free_memory(), self._granted)
            self._granted = max(self._granted, needed)


def _restore_planes(network: WholeNetwork, image: np.ndarray, tile: int) -> tuple[np.ndarray, int]:
    """Run a network of one channel over an RGB picture.

    A gray picture is restored once. Of a colour picture either every channel is restored, or the luma, whose change
    all channels get.
    """
    if np.array_equal(image[:, 0], image[:, 1]) and np.array_equal(image[:, 0], image[:, 2]):
        restored, tiles = _restore_tiles(network, image[:, :1], tile)
        return np.repeat(restored, 3, axis=1), tiles
    if network.spec.colour == "luma":
        luma = (image * LUMA).sum(axis=1, keepdims=True, dtype=np.float32)
        restored, tiles = _restore_tiles(network, luma, tile)
        scale = network.spec.scale
        return enlarge(image, scale) + (restored - enlarge(luma, scale)), tiles
    planes = [_restore_tiles(network, image[:, channel : channel + 1], tile) for channel in range(3)]
    return np.concatenate([plane for plane, _ in planes], axis=1), sum(tiles for _, tiles in planes)


def _restore_tiles(network: WholeNetwork, image: np.ndarray, tile: int) -> tuple[np.ndarray, int]:
    """Run a network over a picture, and count the tiles.

    The picture is [1, C, H, W].
    """
    height, width = image.shape[2:]
    scale = network.spec.scale
    pieces = cut_pieces(network.spec, height, width, tile)
    more = [padded - side for padded, side in zip(pieces.padded, (height, width), strict=True)]
    if any(more):
        image = np.pad(image, ((0, 0), (0, 0), (0, more[0]), (0, more[1])), mode="edge")
    if len(pieces.tiles) == 1:
        restored = _run_window(network, np.ascontiguousarray(image))
    else:
        restored = np.zeros((*image.shape[:2], *(scale * side for side in image.shape[2:])), np.float32)
        for piece, weight in zip(pieces.tiles, pieces.weights(scale), strict=True):
            window = np.ascontiguousarray(piece.window.view(image))
            target = enlarge_box(piece.window, scale).view(restored)
            target += _run_window(network, window) * weight
    return enlarge_box(Box(0, 0, height, width), scale).view(restored), len(pieces.tiles)


def _run_window(network: WholeNetwork, window: np.ndarray) -> np.ndarray:
    output = network.run(window).get(network.restored_name)
    if output is None:
        raise UserError(f"the network has no output {network.restored_name!r}; export it again")
    scale = network.spec.scale
    expected = (*window.shape[:2], scale * window.shape[2], scale * window.shape[3])
    if output.shape != expected:
        times = "" if scale == 1 else f" times {scale}"
        raise UserError(
            f"the output {network.restored_name!r} has shape {output.shape}, expected {expected}, the shape of the "
            f"image{times}; only a network with such an output can restore a picture"
        )
    if output.dtype.kind != "f":
        raise UserError(
            f"the output {network.restored_name!r} is of type {output.dtype}, expected floats in 0..1; only a network "
            "with such an output can restore a picture"
        )
    if not np.isfinite(output).all():
        raise GateError("the network gave values that are not finite; use --precision fp32 or another checkpoint")
    return output

"""The one object most users need: opens a bundle, restores arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from .backends.registry import find_backend
from .bundle.reader import Bundle
from .clock import StageClock
from .errors import UserError
from .opening import open_network
from .pixels import check_image, check_mask, from_network, to_network
from .tiling.network import Network, PaddedPicture, TileCounts
from .tiling.planning import Limits, PathChoice


@dataclass(frozen=True)
class Result:
    """A restored picture and what is known about it."""

    image: np.ndarray
    """Shape and dtype of the input; with a two-stage network (that gates its output, as is the default)
    bit-identical to it where the mask is False."""
    mask: np.ndarray | None
    """[H, W] bool, True where the network found distortion, or the mask that was given; None for a foreign network."""
    density: float
    """Share of pixels that were restored, 0..1; 1.0 for a foreign network."""
    timings: Mapping[str, float]
    """Stage -> seconds: pre, net_l, context, net_r, post (two-stage; no net_r where nothing was computed); pre, model,
    post (foreign)."""
    tiles: TileCounts
    """How many tiles were skipped, packed, dense."""


class Restorer:
    """Restores pictures with one network; a context manager that owns the network until `close`.

    Takes and gives [H, W, 3] RGB, [H, W, 4] RGBA (alpha passed through), [H, W, 1] or [H, W] gray (restored
    as RGB, averaged back); uint8, uint16, or float32 in 0..1. Calls keep no state: threads may share it.
    """

    def __init__(
        self,
        network: Network,
        *,
        tile: int | None = None,
        block_pixels: int = Limits.block_pixels,
    ) -> None:
        """Take over a network.

        Args:
            network: a `TwoStageNetwork` or a `WholeNetwork`.
            tile: largest side in pixels of the pieces a picture is cut into, at least the network's multiple;
                None is 2048, and 512 for a foreign network, of whose memory nothing is known.
            block_pixels: pixels up to which Net_L sees the picture in one piece; bounds the peak memory.
        """
        side = network.spec.default_tile if tile is None else tile
        if side < network.spec.multiple or block_pixels < 1:
            raise UserError(
                f"tile is {tile} and block_pixels is {block_pixels}, expected at least {network.spec.multiple} and 1"
            )
        self.network = network
        self._limits = Limits(side=side, block_pixels=block_pixels)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        backend: str = "auto",
        precision: str = "fp32",
        threads: int | None = None,
        tile: int | None = None,
        block_pixels: int = Limits.block_pixels,
        tile_path: PathChoice = "auto",
    ) -> Restorer:
        """Open a bundle.

        Args:
            path: the bundle's folder.
            backend: "auto", "onnxruntime" (CPU) or "cuda"; auto is the first available, in that order.
            precision: one the bundle has: "fp32", "fp16", "int8"; "auto" runs each graph in what a calibration found
                fastest on this machine.
            threads: threads inside an operator; None: all cores.
            tile: largest side in pixels of the pieces a picture is cut into; None: see the constructor.
            block_pixels: pixels up to which Net_L sees the picture in one piece.
            tile_path: "dense" or "packed" forces all tiles; "auto" takes what costs least.

        Raises:
            UserError: a bundle, backend, precision or option that cannot be used; the message says which.
        """
        chosen = find_backend(backend)
        bundle = Bundle.open(path)
        network = open_network(
            bundle, precision, chosen.open_graph, threads=threads, path=tile_path, backend=chosen.name
        )
        try:
            return cls(network, tile=tile, block_pixels=block_pixels)
        except UserError:
            network.close()
            raise

    @property
    def has_mask(self) -> bool:
        """Whether results carry a mask (two-stage networks do)."""
        return self.network.spec.has_mask

    def __call__(self, image: np.ndarray, *, mask: np.ndarray | None = None) -> Result:
        """Restore one picture.

        Args:
            image: see the class.
            mask: [H, W] bool: the distorted pixels, where they are known or made up; None asks Net_L, which runs in
                either case for its features. A network without a mask takes none.

        Raises:
            UserError: an array that is no picture (shape, channels, dtype, range, NaN), or a mask that does not
                fit it.
            GateError: the network gave values that are not finite.
        """
        clock, spec = StageClock(), self.network.spec
        with clock.stage("pre"):
            check_image(image)
            if mask is not None:
                check_mask(mask, image, spec.has_mask)
            picture = PaddedPicture(to_network(image, spec.multiple), image.shape[:2], mask)
        output = self.network.restore(picture, self._limits, clock)
        with clock.stage("post"):
            height, width = picture.size
            found = None if output.mask is None else output.mask[:height, :width].copy()
            restored = from_network(image, output.image[0], found if spec.gate_output else None)
        density = 1.0 if found is None else float(found.mean())
        return Result(restored, found, density, clock.seconds, output.tiles)

    def close(self) -> None:
        """Release the network; may be called twice."""
        self.network.close()

    def __enter__(self) -> Restorer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

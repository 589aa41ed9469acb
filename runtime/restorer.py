"""The one object most users need: opens a bundle, restores arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import cast

import numpy as np

from .arrays import make_native
from .backends.registry import find_backend
from .bundle.reader import Bundle
from .clock import StageClock
from .errors import UserError
from .opening import open_network
from .pixels import check_image, check_mask, from_network, to_network
from .shipped import resolve_model
from .tiling.network import TwoStageNetwork, WholeNetwork
from .tiling.planning import Limits, PathChoice
from .tiling.spec import SpairNetwork
from .tiling.two_stage import BLOCK_PIXELS, TileCounts, TwoStageRun
from .tiling.whole import restore_whole


@dataclass(frozen=True)
class Result:
    """A restored picture and what is known about it."""

    image: np.ndarray
    """Shape and dtype of the input, but always in this machine's byte order; with a two-stage network (that gates its
    output, as is the default) equal to it bit for bit where the mask is False."""
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
    as RGB, averaged back); uint8, uint16, or float32 in 0..1, in either byte order. Calls keep no state: threads may
    share it.
    """

    def __init__(
        self,
        network: TwoStageNetwork | WholeNetwork,
        *,
        tile: int | None = None,
        block_pixels: int = BLOCK_PIXELS,
    ) -> None:
        """Take over a network.

        Args:
            network: told apart by its spec: `SpairNetwork` has two stages, `ForeignNetwork` runs as a whole.
            tile: largest side in pixels of the pieces a picture is cut into, at least the network's multiple;
                None is 2048, and 512 for a foreign network, of whose memory nothing is known.
            block_pixels: pixels up to which Net_L sees the picture in one piece; bounds the peak memory.
        """
        self._tile = tile if tile is not None else (Limits.side if isinstance(network.spec, SpairNetwork) else 512)
        if self._tile < network.spec.multiple or block_pixels < 1:
            raise UserError(
                f"tile is {tile} and block_pixels is {block_pixels}, expected at least {network.spec.multiple} and 1"
            )
        self.network = network
        self._block_pixels = block_pixels

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        backend: str = "auto",
        precision: str = "fp32",
        threads: int | None = None,
        tile: int | None = None,
        block_pixels: int = BLOCK_PIXELS,
        tile_path: PathChoice = "auto",
    ) -> Restorer:
        """Open a bundle.

        Args:
            path: the bundle's folder, or the name of shipped weights ("rain"; see `spair models`), whose bundle is made
                in the cache on first use. A path that exists wins over a name.
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
        bundle = Bundle.open(resolve_model(path))
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
        return isinstance(self.network.spec, SpairNetwork)

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
        clock = StageClock()
        with clock.stage("pre"):
            if isinstance(image, np.ndarray):  # else refused on the next line; a mask of bool has no byte order
                image = make_native(image)
            check_image(image)
            if mask is not None:
                check_mask(mask, image, self.has_mask)
            tensor = to_network(image, self.network.spec.multiple)
        if isinstance(self.network.spec, SpairNetwork):
            return self._two_stage(image, tensor, mask, clock)
        return self._whole(image, tensor, clock)

    def close(self) -> None:
        """Release the network; may be called twice."""
        self.network.close()

    def __enter__(self) -> Restorer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _two_stage(self, image: np.ndarray, tensor: np.ndarray, given: np.ndarray | None, clock: StageClock) -> Result:
        height, width = image.shape[:2]
        network, limits = cast(TwoStageNetwork, self.network), Limits(side=self._tile)
        work = TwoStageRun(network, limits, self._block_pixels, tensor, (height, width), given)
        work.run(clock)
        with clock.stage("post"):
            mask = work.mask[:height, :width].copy()
            gated = cast(SpairNetwork, self.network.spec).gate_output
            output = from_network(image, work.restored[0], mask if gated else None)
        return Result(output, mask, float(mask.mean()), clock.seconds, work.counts)

    def _whole(self, image: np.ndarray, tensor: np.ndarray, clock: StageClock) -> Result:
        with clock.stage("model"):
            restored, tiles = restore_whole(cast(WholeNetwork, self.network), tensor, self._tile)
        with clock.stage("post"):
            output = from_network(image, restored[0], None)
        return Result(output, None, 1.0, clock.seconds, TileCounts(dense=tiles))

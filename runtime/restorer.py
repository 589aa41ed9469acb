"""Restorer, which opens a bundle and restores arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from .arrays import make_native
from .bundle.reader import Bundle
from .clock import StageClock
from .engine.choice import open_on_backend
from .errors import UserError
from .pixels import check_image, check_mask, from_network, to_network
from .shipped import resolve_model
from .tiling.network import Network, PaddedPicture, TileCounts
from .tiling.planning import Limits, PathChoice


@dataclass(frozen=True)
class Result:
    """Restored picture with its mask and timings."""

    image: np.ndarray
    """Array of the shape and dtype of the input, in the byte order of this machine. Where the mask is False it equals
    the input bit for bit, if the network has two stages and gates its output, which is the default."""
    mask: np.ndarray | None
    """[H, W] bool, True where the network found distortion, or the mask that was given; None for a foreign network."""
    density: float
    """Share of the pixels that were restored, 0..1; 1.0 for a foreign network."""
    timings: Mapping[str, float]
    """Seconds by stage: pre, net_l, context, net_r, post for a two-stage network (net_r is missing where nothing was
    computed); pre, model, post for a foreign one."""
    tiles: TileCounts
    """Numbers of tiles that were skipped, computed packed and computed dense."""


class Restorer:
    """Context manager that restores pictures with one network.

    It owns the network until `close`. It takes and gives [H, W, 3] RGB, [H, W, 4] RGBA (alpha is passed through), and
    [H, W, 1] or [H, W] gray (restored as RGB, then averaged), as uint8, uint16, or float32 in 0..1, in either byte
    order. A call keeps no state, so threads may share a restorer.
    """

    def __init__(
        self,
        network: Network,
        *,
        tile: int | None = None,
        block_pixels: int = Limits.block_pixels,
        backend: str = "custom",
    ) -> None:
        """Take over a network.

        Args:
            network: a `TwoStageNetwork` or a `WholeNetwork`.
            tile: largest side in pixels of the pieces that a picture is cut into, at least the network's multiple. None
                is 2048; for a foreign network it is 512, because nothing is known of the memory that it takes.
            block_pixels: number of pixels up to which Net_L sees the picture in one piece; it bounds the memory.
            backend: name of what runs the network.
        """
        side = network.spec.default_tile if tile is None else tile
        if side < network.spec.multiple or block_pixels < 1:
            raise UserError(
                f"tile is {side} pixels and block_pixels is {block_pixels}; expected a tile of at least "
                f"{network.spec.multiple} pixels and at least 1 pixel in a block"
            )
        self.network = network
        self.backend = backend
        """Name of what runs the network."""
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
        trust_code: bool = False,
    ) -> Restorer:
        """Open a bundle.

        Args:
            path: the bundle's folder, or the name of shipped weights ("rain"; see `spair models`), whose bundle is made
                in the cache on first use. A path that exists wins over a name.
            backend: "tensorrt" (engines that `spair build` put into the bundle), "onnxruntime" (CPU) or "cuda"; "auto"
                takes the first of them that works for this bundle here, in this order.
            precision: a precision that the bundle has, such as "fp32", "fp16" or "int8"; "auto" runs each graph in the
                one that a calibration found fastest on this machine.
            threads: number of threads inside an operator; None takes all cores. On TensorRT, number of pictures that
                an engine computes at a time; None is 2.
            tile: largest side in pixels of the pieces that a picture is cut into; see the constructor for None.
            block_pixels: number of pixels up to which Net_L sees the picture in one piece.
            trust_code: run the plugins and engines of the bundle though this machine did not build them and nobody has
                trusted them (`spair trust`); they are code with your rights.
            tile_path: "dense" or "packed" computes all tiles by this path; "auto" takes the cheaper one for each.

        Raises:
            UserError: a bundle, backend, precision or option cannot be used; the message says which.
            EngineError: TensorRT refuses an engine that fits.
        """
        bundle = Bundle.open(resolve_model(path))
        network, name = open_on_backend(
            bundle, backend, precision, threads=threads, tile_path=tile_path, trust_code=trust_code
        )
        try:
            return cls(network, tile=tile, block_pixels=block_pixels, backend=name)
        except UserError:
            network.close()
            raise

    @property
    def has_mask(self) -> bool:
        """Whether results carry a mask; two-stage networks give one."""
        return self.network.spec.has_mask

    def __call__(self, image: np.ndarray, *, mask: np.ndarray | None = None) -> Result:
        """Restore one picture.

        Args:
            image: picture as described for the class.
            mask: [H, W] bool, True at distorted pixels, where they are known or made up. None takes the mask of
                Net_L, which runs in either case for its features. A foreign network takes no mask.

        Raises:
            UserError: the array is not a picture (shape, channels, dtype, range, NaN), or the mask does not fit it.
            GateError: the network gave values that are not finite.
        """
        clock, spec = StageClock(), self.network.spec
        with clock.stage("pre"):
            if isinstance(image, np.ndarray):  # else refused on the next line; a mask of bool has no byte order
                image = make_native(image)
            check_image(image)
            if mask is not None:
                check_mask(mask, image, spec.has_mask)
        if mask is None and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] >= 3:
            direct = self._restore_bytes(image, clock)
            if direct is not None:
                return direct
        with clock.stage("pre"):
            picture = PaddedPicture(to_network(image, spec.multiple), image.shape[:2], mask)
        output = self.network.restore(picture, self._limits, clock)
        with clock.stage("post"):
            height, width = picture.size
            found = None if output.mask is None else output.mask[:height, :width].copy()
            restored = from_network(image, output.image[0], found if spec.gate_output else None)
        density = 1.0 if found is None else float(found.mean())
        return Result(restored, found, density, clock.seconds, output.tiles)

    def _restore_bytes(self, image: np.ndarray, clock: StageClock) -> Result | None:
        """Restore an 8-bit picture without a detour through floats."""
        output = self.network.restore_bytes(image[..., :3], clock)
        if output is None:
            return None
        with clock.stage("post"):
            restored = output.image if image.shape[2] == 3 else np.dstack([output.image, image[..., 3]])
        return Result(restored, output.mask, output.density, clock.seconds, output.tiles)

    def close(self) -> None:
        """Release the network; may be called twice."""
        self.network.close()

    def __enter__(self) -> Restorer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

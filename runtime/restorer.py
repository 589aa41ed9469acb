"""Restorer, which opens a bundle and restores arrays."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from .arrays import make_native
from .bounds.thresholds import Threshold, choose_threshold
from .bundle.checks.digest import check_digest
from .bundle.reader import Bundle, reread
from .clock import StageClock
from .engine.choice import Opened, open_on_backend
from .errors import UserError
from .files import sha256
from .flips import average_flips, check_flips
from .pixels import check_image, check_mask, from_network, to_network
from .served.network import is_served, open_served
from .shipped import resolve_model
from .tiling.memory import check_picture
from .tiling.network import Known, Network, PaddedPicture, Scene, TileCounts
from .tiling.planning import Limits, PathChoice, check_path
from .tiling.spec import ForeignNetwork
from .tiling.two_stage import TwoStageNetwork


@dataclass(frozen=True)
class Result:
    """Restored picture with its mask and timings."""

    image: np.ndarray
    """Array of the shape and dtype of the input, in the byte order of this machine; of a foreign network with a scale,
    height and width are that many times larger. Where the mask is False it equals the input bit for bit, if the network
    has two stages and gates its output, which is the default."""
    mask: np.ndarray | None
    """[H, W] bool, True where the network found distortion, or the mask that was given; None for a foreign network."""
    density: float
    """Share of the pixels that were restored, 0..1; 1.0 for a foreign network."""
    timings: Mapping[str, float]
    """Seconds by stage: pre, net_l, context, net_r, post for a two-stage network (net_r is missing where nothing was
    computed); pre, model, post for a foreign one and for a served graph."""
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
        threshold: Threshold | None = None,
        flips: int = 1,
    ) -> None:
        """Take over a network.

        Args:
            network: a `TwoStageNetwork`, a `WholeNetwork` or a `ServedNetwork`.
            tile: largest side in pixels of the pieces that a picture is cut into, at least the network's multiple. None
                is 2048; for a foreign network it is 512, because little is known of the memory that it takes, unless it
                must see a picture whole.
            block_pixels: number of pixels up to which Net_L sees the picture in one piece; it bounds the memory.
            backend: name of what runs the network.
            threshold: see `open`.
            flips: see `open`.
        """
        side = network.spec.default_tile if tile is None else tile
        if side < network.spec.multiple:
            raise UserError(
                f"a tile of {side} pixels is too small for this network, whose pictures are multiples of "
                f"{network.spec.multiple} pixels; give --tile {network.spec.multiple} or more, or leave it out"
            )
        if block_pixels < 1:
            raise UserError(f"block_pixels is {block_pixels}, expected at least 1")
        self.network = network
        self.backend = backend
        """Name of what runs the network."""
        self.remark: str | None = None
        """Why ONNX Runtime runs a network that `open` found, where the backend was left open; None on any other."""
        self.facts: Mapping[str, str] = {}
        """Task, preset, precision and digest, of a network that `open` found."""
        self.warnings: tuple[str, ...] = (
            network.spec.warn_of_tiles(tile) if isinstance(network.spec, ForeignNetwork) else ()
        )
        """Sentences about results that the options make worse."""
        self._threshold = self.choose_threshold(threshold)
        self.flips = check_flips(flips)
        """Number of mirrored pictures that a result is the mean of."""
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
        expect_digest: Collection[str] = (),
        threshold: Threshold | None = None,
        flips: int = 1,
    ) -> Restorer:
        """Open a bundle, or a served graph.

        A served graph is one ONNX file, see `ServedNetwork`. It runs on "onnxruntime" or "cuda", takes pictures whole
        and finds its own masks, so it needs more memory the larger a picture is, and takes no options of tiles.

        Args:
            path: the bundle's folder, the .onnx file, or the name of shipped weights ("rain"; see `spair models`),
                whose bundle is made in the cache on first use. A path that exists wins over a name.
            backend: "tensorrt" (engines that `spair build` put into the bundle), "cpu" (kernels of our own, which
                compute rows of distorted pixels only), "onnxruntime" (CPU) or "cuda"; "auto" takes the first of them
                that works for this bundle here, in this order, and the kernels only where they give the picture of
                ONNX Runtime sooner. Where an installation has no kernels, they are compiled once.
            precision: a precision that the bundle has, such as "fp32", "fp16" or "int8"; "auto" runs each graph in the
                one that a calibration found fastest on this machine. A served graph has one precision, which "fp32" and
                "auto" take as it is.
            threads: number of threads inside an operator; None takes all cores. On TensorRT, number of pictures that
                an engine computes at a time; None is 2.
            tile: largest side in pixels of the pieces that a picture is cut into; see the constructor for None.
            block_pixels: number of pixels up to which Net_L sees the picture in one piece.
            trust_code: run the plugins and engines of the bundle though this machine did not build them and nobody has
                trusted them (`spair trust`); they are code with your rights.
            tile_path: "dense" or "packed" computes all tiles by this path; "auto" takes the cheaper one for each.
            expect_digest: digests of which the model must have one, as `spair inspect` shows them; empty where any will
                do. That of a bundle stands for its manifest and all of its files.
            threshold: probability above which a pixel counts as distorted, from 0 (all) to 1 (none), or "fast",
                "balanced" or "best"; None takes the network's own, which "balanced" is too. Lower ones restore more
                pixels and take longer.
            flips: number of pictures that a result is the mean of: the picture as it is (1), mirrored left to right as
                well (2), and top to bottom besides (4). It takes that many times as long, and errs less.

        Raises:
            UserError: a model, backend, precision or option cannot be used; the message says which.
            EngineError: TensorRT refuses an engine that fits.
        """
        check_path(tile_path)
        place = resolve_model(path)
        if is_served(place):
            if tile is not None or block_pixels != Limits.block_pixels or tile_path != "auto":
                raise UserError(
                    f"{place} is a served graph, which takes pictures whole; leave out all options of tiles"
                )
            opened = _open_served(Path(place), backend, precision, threads, expect_digest)
        else:

            def open_one() -> tuple[Opened, Mapping[str, str]]:
                bundle = Bundle.open(place, expect_digest=expect_digest)
                return _open_bundle(bundle, backend, precision, threads, tile_path, trust_code)

            opened = reread(open_one)
        (network, name, remark), facts = opened
        try:
            restorer = cls(
                network, tile=tile, block_pixels=block_pixels, backend=name, threshold=threshold, flips=flips
            )
        except UserError:
            network.close()
            raise
        restorer.facts, restorer.remark = facts, remark
        return restorer

    @property
    def scale(self) -> int:
        """Factor from a picture's sides to its result's."""
        return self.network.spec.scale

    @property
    def has_mask(self) -> bool:
        """Whether results carry a mask; two-stage networks give one."""
        return self.network.spec.has_mask

    @property
    def threshold(self) -> float | None:
        """Probability above which a pixel counts as distorted.

        None for a network without a mask.
        """
        return self._own_threshold if self._threshold is None else self._threshold

    @property
    def _own_threshold(self) -> float | None:
        own: float | None = getattr(self.network.spec, "mask_threshold", None)
        return own

    @property
    def chosen_threshold(self) -> float | None:
        """Threshold that `open` was given.

        None where it is the network's own.
        """
        return self._threshold

    def choose_threshold(self, wanted: Threshold | None) -> float | None:
        """Choose the threshold of a call.

        Args:
            wanted: see `open`; None for the network's own.

        Returns:
            The probability; None where it is the network's own.

        Raises:
            UserError: it is no threshold, or none that the network takes.
        """
        is_free = wanted is not None and bool(getattr(self.network, "takes_threshold", False))
        return choose_threshold(wanted, own=self._own_threshold, has_mask=self.has_mask, is_free=is_free)

    @property
    def keeps_scenes(self) -> bool:
        """Whether `__call__` takes anything from a scene."""
        return self.flips == 1 and bool(getattr(self.network, "keeps_scenes", False))

    def __call__(
        self,
        image: np.ndarray,
        *,
        mask: np.ndarray | None = None,
        scene: Scene | None = None,
        threshold: Threshold | None = None,
    ) -> Result:
        """Restore one picture.

        Args:
            image: picture as described for the class.
            mask: [H, W] bool, True at distorted pixels, where they are known or made up. None takes the mask of
                Net_L, which runs in either case for its features; that mask, given back, gives the same picture, but
                for `flips`, which have a mask each. A foreign network takes no mask.
            scene: what earlier frames of a video showed; it is brought up to date. Networks that cannot use it do
                not.
            threshold: see `open`, for this picture alone; None takes that of `open`.

        Raises:
            UserError: the array is not a picture (shape, channels, dtype, range, NaN), the mask does not fit it, both a
                mask and a threshold are given, or the threshold is none that the network takes.
            MemoryShortError: the picture needs more memory than is free.
            GateError: the network gave values that are not finite.
        """
        clock = StageClock()
        with clock.stage("pre"):
            if isinstance(image, np.ndarray):  # else refused on the next line; a mask of bool has no byte order
                image = make_native(image)
            check_image(image)
            if mask is not None:
                check_mask(mask, image, self.network.spec.takes_mask)
                if threshold is not None:
                    raise UserError(f"a mask is given, which needs no threshold, got {threshold}; give one of them")
            self._check_memory(image)
        chosen = self._threshold if threshold is None else self.choose_threshold(threshold)
        if self.flips > 1:
            return self._average(image, mask, chosen, clock)
        return self._restore(image, Known(mask, scene, chosen), clock)

    def _average(
        self, image: np.ndarray, mask: np.ndarray | None, threshold: float | None, clock: StageClock
    ) -> Result:
        """Restore mirrored pictures, and average them."""
        spec = self.network.spec

        def restore(picture: np.ndarray, given: np.ndarray | None) -> Result:
            return self._restore(picture, Known(given, None, threshold), clock)

        mean, found, tiles = average_flips(restore, to_network(image, 1)[0], mask, self.flips)
        with clock.stage("post"):
            restored = from_network(image, mean, found if spec.gate_output else None, scale=spec.scale)
        return Result(restored, found, 1.0 if found is None else float(found.mean()), clock.seconds, tiles)

    def _restore(self, image: np.ndarray, known: Known, clock: StageClock) -> Result:
        """Restore a picture as it is."""
        spec = self.network.spec
        if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] >= 3:
            direct = self._restore_bytes(image, known, clock)
            if direct is not None:
                return direct
        with clock.stage("pre"):
            picture = PaddedPicture(to_network(image, spec.multiple), image.shape[:2], known)
        output = self.network.restore(picture, self._limits, clock)
        with clock.stage("post"):
            height, width = picture.size
            found = None if output.mask is None else output.mask[:height, :width].copy()
            restored = from_network(image, output.image[0], found if spec.gate_output else None, scale=spec.scale)
        return Result(restored, found, 1.0 if found is None else float(found.mean()), clock.seconds, output.tiles)

    def _check_memory(self, image: np.ndarray) -> None:
        """Refuse a picture that needs more memory than is free."""
        size = image.shape[:2]
        layers = isinstance(self.network, TwoStageNetwork) and self.network.in_main_memory
        check_picture(self.network.spec, self._limits, size, image.nbytes // (size[0] * size[1]), layers=layers)

    def _restore_bytes(self, image: np.ndarray, known: Known, clock: StageClock) -> Result | None:
        """Restore an 8-bit picture without a detour through floats."""
        output = self.network.restore_bytes(image[..., :3], known, self._limits, clock)
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


def _open_served(
    place: Path, backend: str, precision: str, threads: int | None, expect_digest: Collection[str]
) -> tuple[Opened, Mapping[str, str]]:
    """Open a served graph, and read its facts."""
    digest = sha256(place) if place.is_file() else ""  # what is no file is refused below
    if digest:
        check_digest(digest, expect_digest, place)
    network, name = open_served(place, backend, precision, threads)
    facts = {fact: network.facts[fact] for fact in ("task", "preset", "precision") if fact in network.facts}
    return Opened(network, name), {**facts, "digest": digest}


def _open_bundle(
    bundle: Bundle, backend: str, precision: str, threads: int | None, tile_path: PathChoice, trust_code: bool
) -> tuple[Opened, Mapping[str, str]]:
    """Open a bundle, and read its facts."""
    opened = open_on_backend(bundle, backend, precision, threads=threads, tile_path=tile_path, trust_code=trust_code)
    manifest = bundle.manifest
    facts = {"task": manifest.task, "preset": manifest.preset, "precision": precision, "digest": bundle.digest}
    return opened, facts

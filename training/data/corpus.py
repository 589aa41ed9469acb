"""Pictures of a run, decoded and checked before it begins."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from ...runtime.clock import CountProgress
from ...runtime.errors import UserError
from ...runtime.images.finding import list_pictures
from ..simulators import Simulator
from .config import Data
from .datasets import find_pairs
from .pairs import Pair, listed, pair_folders, read_mask, read_pair_uint8, read_rgb_uint8
from .simulated import degrade_photo
from .store import Store


@dataclasses.dataclass(frozen=True)
class PicturePair:
    """A degraded picture and its clean one.

    Both are HxWx3 uint8 RGB of one size.
    """

    name: str
    """Name, group/stem."""
    degraded: np.ndarray
    clean: np.ndarray
    mask: np.ndarray | None = None
    """True mask, bool HxW, from a file; None where it follows from the difference of the two pictures."""

    def find_truth(self, threshold: int) -> np.ndarray:
        """Return the true mask, bool HxW.

        Without a mask file a pixel is distorted where some channel differs by more than `threshold` of 255.
        """
        return differs(self.degraded, self.clean, threshold) if self.mask is None else self.mask


@dataclasses.dataclass(frozen=True)
class MaskedPhoto:
    """A degraded photograph and its true mask.

    No clean picture is known. The photograph is HxWx3 uint8 RGB, the mask bool HxW.
    """

    name: str
    degraded: np.ndarray
    mask: np.ndarray

    def find_truth(self, threshold: int) -> np.ndarray:
        """Return the true mask, bool HxW.

        The threshold has no effect; it serves pictures without a mask file.
        """
        return self.mask


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Pictures for training and pictures for validation.

    No picture is in both.
    """

    pairs: tuple[PicturePair, ...]
    photos: tuple[np.ndarray, ...]
    held_out: tuple[PicturePair, ...]
    masked: tuple[MaskedPhoto, ...] = ()
    held_out_masked: tuple[MaskedPhoto, ...] = ()


def differs(degraded: np.ndarray, clean: np.ndarray, threshold: int) -> np.ndarray:
    """Mark the pixels where an aligned pair differs.

    Args:
        degraded: uint8 HxWx3.
        clean: uint8 HxWx3.
        threshold: levels of 255.

    Returns:
        The true mask, bool HxW: some channel differs by more than the threshold.
    """
    return np.abs(degraded.astype(np.int16) - clean).max(-1) > threshold


def load_corpus(
    data: Data,
    patch: int,
    memory: float = float("inf"),
    *,
    simulator: Simulator | None = None,
    progress: CountProgress | None = None,
) -> Corpus:
    """Decode every picture of a run.

    Args:
        data: folders of the pictures.
        patch: side of the largest crops in pixels.
        memory: bytes of pictures that are kept in memory; the others go to the temporary folder.
        simulator: degrades the held-out photos; needed where there are some.
        progress: called after each file, with the counts of its folder or data set.

    Raises:
        UserError: a folder is missing or empty; pictures are unreadable, unpaired, of unequal size or smaller than a
            patch (the message names the first); a held-out stem names no picture; nothing is left to train on.
    """
    data = data.locate()
    keep = Store(memory).keep_all
    pairs = [
        keep(PicturePair(f"{group}/{pair.name}", *read_pair_uint8(pair))) for group, pair in _list_pairs(data, progress)
    ]
    masked = [
        keep(MaskedPhoto(f"{group}/{pair.name}", read_rgb_uint8(pair.input), read_mask(pair.mask)))
        for group, pair in _list_masked(data, progress)
        if pair.mask is not None
    ]
    photos = {path: keep(photo) for folder in data.photos for path, photo in read_photos(folder, progress)}
    ours, held_out = _split(pairs, data.held_out)
    held_out += [keep(pair) for pair in _hold_out_photos(photos, data.held_out_photos, simulator)]
    our_masked, held_out_masked = _split(masked, data.held_out)
    _check_held_out(data, [*held_out, *held_out_masked])
    _check_rest(data, ours, our_masked, photos)
    sizes = {picture.name: picture.degraded.shape for picture in (*ours, *our_masked)}
    _check_sizes(sizes | {str(path): photo.shape for path, photo in photos.items()}, patch)
    return Corpus(
        tuple(_at_scales(ours, lambda pair, factor: keep(_reduce_record(pair, factor)), data.scales, patch)),
        (
            *_at_scales(photos.values(), lambda photo, factor: keep(reduce(photo, factor)), data.scales, patch),
            *(keep(enlarge(photo, factor)) for photo in photos.values() for factor in data.enlarge),
        ),
        tuple(held_out),
        tuple(_at_scales(our_masked, lambda photo, factor: keep(_reduce_record(photo, factor)), data.scales, patch)),
        tuple(held_out_masked),
    )


def reduce(picture: np.ndarray, factor: int) -> np.ndarray:
    """Shrink a picture by averaging boxes of pixels.

    A box has factor x factor pixels. Rows and columns that fill no box are cut off.

    Args:
        picture: uint8 [H,W,3], or bool [H,W], which becomes true where at least half of a box is true.
        factor: whole factor of both sides, at most H and W.
    """
    height, width = (side // factor for side in picture.shape[:2])
    boxes = picture[: height * factor, : width * factor].reshape(height, factor, width, factor, *picture.shape[2:])
    mean = boxes.mean((1, 3), dtype=np.float32)
    return mean >= 0.5 if picture.dtype == bool else np.rint(mean).astype(np.uint8)


def enlarge(picture: np.ndarray, factor: float) -> np.ndarray:
    """Enlarge a uint8 [H,W,3] picture bicubically.

    The sides become `factor` times as long, rounded.
    """
    height, width = (round(side * factor) for side in picture.shape[:2])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))


def _reduce_record(record: Any, factor: int) -> Any:
    arrays = {name: value for name, value in vars(record).items() if isinstance(value, np.ndarray)}
    return dataclasses.replace(record, **{name: reduce(value, factor) for name, value in arrays.items()})


def _at_scales(pictures: Iterable[Any], shrink: Any, scales: tuple[int, ...], patch: int) -> Iterator[Any]:
    """Yield pictures reduced by every factor that leaves a patch.

    Reduced copies smaller than a patch are left out.
    """
    for picture in pictures:
        shape = picture.shape if isinstance(picture, np.ndarray) else picture.degraded.shape
        for factor in scales:
            if min(shape[:2]) // factor >= patch:
                yield picture if factor == 1 else shrink(picture, factor)


def _list_pairs(data: Data, progress: CountProgress | None) -> Iterator[tuple[str, Pair]]:
    """List the pairs of all folders and data sets.

    Yields:
        (group, pair); the scores of a group are reported together.
    """
    for folders in data.pairs:
        for pair in pair_folders(folders.input, folders.target, folders.mask, progress=progress):
            yield folders.input.parent.name, pair
    for source in data.sets:
        for pair in find_pairs(source.layout, source.root, source.split, progress=progress):
            yield source.layout, pair


def _list_masked(data: Data, progress: CountProgress | None) -> Iterator[tuple[str, Pair]]:
    """List the photographs that only have a mask.

    They are their own targets.

    Yields:
        (group, pair).
    """
    for folders in data.masked:
        for pair in pair_folders(folders.input, folders.input, folders.mask, progress=progress):
            yield folders.input.name, pair


def read_photos(folder: Path, progress: CountProgress | None) -> list[tuple[Path, np.ndarray]]:
    """Read the clean pictures of a folder or file.

    Raises:
        UserError: the folder is missing or has no pictures; or some cannot be used, of which the message names the
            first.
    """
    paths = list_pictures(folder) if folder.is_dir() else [folder] if folder.is_file() else []
    if not paths:
        raise UserError(f"photos folder {folder} is missing or holds no pictures; correct the path")
    photos, unusable = [], []
    for done, path in enumerate(paths, 1):
        try:
            photos.append((path, read_rgb_uint8(path)))
        except UserError as error:
            unusable.append(str(error))
        if progress is not None:
            progress(done, len(paths), path.name)
    if unusable:
        raise UserError(f"{len(unusable)} of the photographs cannot be used: {listed(unusable, ' | ')}")
    return photos


def _hold_out_photos(
    photos: dict[Path, np.ndarray], stems: tuple[str, ...], simulator: Simulator | None
) -> list[PicturePair]:
    """Take held-out photos from the others and degrade them.

    Raises:
        UserError: a stem names no photo.
    """
    if missing := sorted(set(stems) - {path.stem for path in photos}):
        raise UserError(
            f"data.held_out_photos names {', '.join(missing)}, but no clean photo has that stem; "
            "correct data.held_out_photos"
        )
    chosen = [path for path in photos if path.stem in stems]
    if not chosen:
        return []
    if simulator is None:
        raise ValueError("held-out photos need a simulator that degrades them")
    return [
        PicturePair(f"{simulator.task}-simulated/{name}", degraded, clean)
        for path in chosen
        for name, degraded, clean in degrade_photo(path.stem, photos.pop(path), simulator)
    ]


_Picture = TypeVar("_Picture", PicturePair, MaskedPhoto)


def _split(pictures: list[_Picture], held_out: tuple[str, ...]) -> tuple[list[_Picture], list[_Picture]]:
    """Separate pictures to train on from held-out pictures."""
    chosen = [_stem(picture) in held_out for picture in pictures]
    ours = [picture for picture, out in zip(pictures, chosen, strict=True) if not out]
    return ours, [picture for picture, out in zip(pictures, chosen, strict=True) if out]


def _stem(picture: Any) -> str:
    return picture.name.split("/", 1)[1]


def _check_held_out(data: Data, held_out: list[Any]) -> None:
    if missing := sorted(set(data.held_out) - {_stem(picture) for picture in held_out}):
        raise UserError(
            f"data.held_out names {', '.join(missing)}, but no picture has that stem; correct data.held_out"
        )


def _check_rest(data: Data, pairs: list[Any], masked: list[Any], photos: dict[Path, Any]) -> None:
    """Check that training has the pictures that the shares need.

    Held-out pictures are no longer there to train on.
    """
    rest = 1.0 - data.simulate - data.from_masked
    wants = (
        (rest > 1e-9 and not pairs, "pairs"),
        (data.from_masked > 0 and not masked, "masked photographs"),
        (data.simulate > 0 and not photos and not pairs, "clean pictures"),
    )
    for wanting, pictures in wants:
        photos_held = pictures == "clean pictures" and bool(data.held_out_photos)
        if wanting:
            raise UserError(
                f"{'data.held_out_photos' if photos_held else 'data.held_out'} keeps all {pictures} for validation, so "
                "nothing is left to train on; hold out fewer"
            )


def _check_sizes(shapes: dict[str, tuple[int, ...]], patch: int) -> None:
    small = [f"{name} is {shape[1]}x{shape[0]}" for name, shape in shapes.items() if min(shape[:2]) < patch]
    if small:
        raise UserError(
            f"training pictures must be at least as large as a patch, {patch}x{patch}, but {listed(small)}: "
            "remove them, or lower patch"
        )

"""The pictures of a run, decoded once and kept as uint8: in memory, and beyond a limit in a temporary file."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..runtime.errors import UserError
from .config import Data
from .pairs import Pair, list_pictures, pair_folders, read_mask, read_pair_uint8, read_rgb_uint8


@dataclasses.dataclass(frozen=True)
class PicturePair:
    """A degraded picture and its clean one, HxWx3 uint8 RGB of one size."""

    name: str
    """group/stem."""
    degraded: np.ndarray
    clean: np.ndarray
    mask: np.ndarray | None = None
    """bool HxW, from a file; None where the difference of the two pictures says it."""

    def find_truth(self, threshold: int) -> np.ndarray:
        """The true mask, bool HxW: the file's, else where some channel differs by more than threshold of 255."""
        return differs(self.degraded, self.clean, threshold) if self.mask is None else self.mask


@dataclasses.dataclass(frozen=True)
class MaskedPhoto:
    """A degraded photograph without a clean one: HxWx3 uint8 RGB, and its true mask, bool HxW."""

    name: str
    degraded: np.ndarray
    mask: np.ndarray

    def find_truth(self, threshold: int) -> np.ndarray:
        """The true mask, bool HxW; the threshold is for pictures without a mask."""
        return self.mask


@dataclasses.dataclass(frozen=True)
class Corpus:
    """What a run trains on and what it validates on; no picture is in both."""

    pairs: tuple[PicturePair, ...]
    photos: tuple[np.ndarray, ...]
    held_out: tuple[PicturePair, ...]
    masked: tuple[MaskedPhoto, ...] = ()
    held_out_masked: tuple[MaskedPhoto, ...] = ()


def differs(degraded: np.ndarray, clean: np.ndarray, threshold: int) -> np.ndarray:
    """The true mask of an aligned pair, bool HxW: some channel of two uint8 pictures differs by more than threshold."""
    return np.abs(degraded.astype(np.int16) - clean).max(-1) > threshold


CHUNK = 1 << 30
"""Bytes of one temporary file."""


class Store:
    """Keeps arrays in memory until a limit is reached, and those after it in files, of which only crops are read.

    The files have no name and vanish with the process, however it ends.
    """

    def __init__(self, limit: float) -> None:
        """`limit`: bytes."""
        self.left, self.used = limit, 0
        self.chunk = np.zeros(0, np.uint8)

    def keep(self, array: np.ndarray) -> np.ndarray:
        """The same values, wherever they are now; arrays of bytes or bools.

        Raises:
            OSError: the temporary folder is full.
        """
        if array.nbytes <= self.left:
            self.left -= array.nbytes
            return array
        if self.used + array.nbytes > len(self.chunk):
            size = max(CHUNK, array.nbytes)
            with tempfile.TemporaryFile() as file:
                self.chunk, self.used = np.asarray(np.memmap(file, np.uint8, "w+", shape=size)), 0
        place = self.chunk[self.used : self.used + array.nbytes].view(array.dtype).reshape(array.shape)
        place[...] = array
        self.used += array.nbytes
        return place

    def keep_all(self, record: Any) -> Any:
        """A picture, or a record of pictures, with every array kept."""
        if isinstance(record, np.ndarray):
            return self.keep(record)
        arrays = {name: value for name, value in vars(record).items() if isinstance(value, np.ndarray)}
        return dataclasses.replace(record, **{name: self.keep(value) for name, value in arrays.items()})


def load_corpus(data: Data, patch: int, memory: float = float("inf")) -> Corpus:
    """Decode every picture of a run.

    Args:
        data: where they are.
        patch: side of the largest crops.
        memory: bytes of pictures that are kept in memory; the others go to the temporary folder.

    Raises:
        UserError: a folder is missing or empty; a picture is unreadable, unpaired, of unequal size or smaller than a
            patch; a held-out stem names no picture; nothing is left to train on.
    """
    data = data.locate()
    keep = Store(memory).keep_all
    pairs = [keep(PicturePair(f"{group}/{pair.name}", *read_pair_uint8(pair))) for group, pair in _list_pairs(data)]
    masked = [
        keep(MaskedPhoto(f"{folders.input.name}/{pair.name}", read_rgb_uint8(pair.input), read_mask(pair.target)))
        for folders in data.masked
        for pair in pair_folders(folders.input, folders.mask)
    ]
    photos = tuple(keep(read_rgb_uint8(path)) for folder in data.photos for path in _pictures(folder))
    ours, held_out = _split(pairs, data.held_out)
    our_masked, held_out_masked = _split(masked, data.held_out)
    _check_held_out(data, [*held_out, *held_out_masked])
    _check_rest(data, ours, our_masked, photos)
    _check_sizes([*(pair.clean for pair in ours), *(photo.degraded for photo in our_masked), *photos], patch)
    return Corpus(
        tuple(_at_scales(ours, lambda pair, factor: keep(_reduce_record(pair, factor)), data.scales, patch)),
        tuple(_at_scales(photos, lambda photo, factor: keep(reduce(photo, factor)), data.scales, patch)),
        tuple(held_out),
        tuple(_at_scales(our_masked, lambda photo, factor: keep(_reduce_record(photo, factor)), data.scales, patch)),
        tuple(held_out_masked),
    )


def reduce(picture: np.ndarray, factor: int) -> np.ndarray:
    """Means of boxes of factor x factor pixels; what fills no box is cut off.

    Args:
        picture: uint8 [H,W,3], or bool [H,W], which becomes true where at least half of a box is.
        factor: of both sides, at most H and W.
    """
    height, width = (side // factor for side in picture.shape[:2])
    boxes = picture[: height * factor, : width * factor].reshape(height, factor, width, factor, *picture.shape[2:])
    mean = boxes.mean((1, 3), dtype=np.float32)
    return mean >= 0.5 if picture.dtype == bool else np.rint(mean).astype(np.uint8)


def _reduce_record(record: Any, factor: int) -> Any:
    arrays = {name: value for name, value in vars(record).items() if isinstance(value, np.ndarray)}
    return dataclasses.replace(record, **{name: reduce(value, factor) for name, value in arrays.items()})


def _at_scales(pictures: Iterable[Any], shrink: Any, scales: tuple[int, ...], patch: int) -> Iterator[Any]:
    """Every picture reduced by every factor that leaves it as large as a patch."""
    for picture in pictures:
        shape = picture.shape if isinstance(picture, np.ndarray) else picture.degraded.shape
        for factor in scales:
            if min(shape[:2]) // factor >= patch:
                yield picture if factor == 1 else shrink(picture, factor)


def _list_pairs(data: Data) -> Iterable[tuple[str, Pair]]:
    """(group, pair) of all data sets; a group's scores are reported together."""
    from .layouts import find_pairs

    for folders in data.pairs:
        for pair in pair_folders(folders.input, folders.target, folders.mask):
            yield folders.input.parent.name, pair
    for source in data.sets:
        for pair in find_pairs(source.layout, source.root, source.split):
            yield source.layout, pair


Picture = TypeVar("Picture", PicturePair, MaskedPhoto)


def _split(pictures: list[Picture], held_out: tuple[str, ...]) -> tuple[list[Picture], list[Picture]]:
    """Those to train on, and those held out."""
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


def _check_rest(data: Data, pairs: list[Any], masked: list[Any], photos: tuple[Any, ...]) -> None:
    """What the shares ask for must be there after the held-out pictures are taken away."""
    rest = 1.0 - data.simulate - data.from_masked
    wants = (
        (rest > 1e-9 and not pairs, "pairs"),
        (data.from_masked > 0 and not masked, "masked photographs"),
        (data.simulate > 0 and not photos and not pairs, "clean pictures"),
    )
    for wanting, what in wants:
        if wanting:
            raise UserError(
                f"data.held_out keeps all {what} for validation, so nothing is left to train on; hold out fewer"
            )


def _check_sizes(pictures: list[np.ndarray], patch: int) -> None:
    for picture in pictures:
        if min(picture.shape[:2]) < patch:
            raise UserError(
                f"a training picture is {picture.shape[1]}x{picture.shape[0]}, smaller than {patch=}; remove it"
            )


def _pictures(folder: Path) -> list[Path]:
    found = list_pictures(folder) if folder.is_dir() else []
    if not found:
        raise UserError(f"data.photos folder {folder} is missing or holds no pictures; correct the path")
    return found

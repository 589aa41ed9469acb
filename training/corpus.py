"""The pictures of a run, decoded once and kept in memory as uint8."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from ..runtime.errors import UserError
from ..runtime.images import read_image
from .config import Data
from .pairs import list_pictures, pair_folders


@dataclasses.dataclass(frozen=True)
class PicturePair:
    """A degraded picture and its clean one, HxWx3 uint8 RGB of one size."""

    name: str
    degraded: np.ndarray
    clean: np.ndarray


@dataclasses.dataclass(frozen=True)
class Corpus:
    """What a run trains on and what it validates on; no picture is in both."""

    pairs: tuple[PicturePair, ...]
    photos: tuple[np.ndarray, ...]
    held_out: tuple[PicturePair, ...]


def load_corpus(data: Data, patch: int) -> Corpus:
    """Decode every picture of a run.

    Raises:
        UserError: a folder is missing or empty; a picture is unreadable, unpaired, of unequal size or smaller than a
            patch; a held-out stem names no pair; nothing is left to train on.
    """
    data = data.locate()
    pairs: list[PicturePair] = []
    held_out: list[PicturePair] = []
    for folders in data.pairs:
        for pair in pair_folders(folders.input, folders.target):
            loaded = PicturePair(f"{folders.input.parent.name}/{pair.name}", _rgb8(pair.input), _rgb8(pair.target))
            (held_out if pair.name in data.held_out else pairs).append(loaded)
    stems = {pair.name.split("/")[-1] for pair in held_out}
    if missing := sorted(set(data.held_out) - stems):
        raise UserError(f"data.held_out names {', '.join(missing)}, but no pair has that stem; correct data.held_out")
    if not pairs and not data.photos:
        raise UserError(
            f"data.held_out keeps all {len(held_out)} pairs for validation and data.photos is empty, "
            "so nothing is left to train on; hold out fewer pairs or add photos"
        )
    photos = tuple(_rgb8(path) for folder in data.photos for path in _pictures(folder))
    for picture in (*(pair.clean for pair in pairs), *photos):
        if min(picture.shape[:2]) < patch:
            raise UserError(
                f"a training picture is {picture.shape[1]}x{picture.shape[0]}, smaller than {patch=}; remove it"
            )
    return Corpus(tuple(pairs), photos, tuple(held_out))


def _pictures(folder: Path) -> list[Path]:
    found = list_pictures(folder) if folder.is_dir() else []
    if not found:
        raise UserError(f"data.photos folder {folder} is missing or holds no pictures; correct the path")
    return found


def _rgb8(path: Path) -> np.ndarray:
    pixels = read_image(path).pixels
    if pixels.dtype != np.uint8:
        raise UserError(f"{path} has {pixels.dtype} samples; training reads 8-bit pictures")
    colour = pixels[..., :3] if pixels.shape[2] >= 3 else np.repeat(pixels[..., :1], 3, axis=2)
    return np.ascontiguousarray(colour)

"""Pictures of a calibration and their tiles.

Pictures are read and paired with clean ones. Their tiles cover the densities of distortion.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from ...runtime.errors import UserError
from ...runtime.images import read_image
from ...runtime.images.finding import find_inputs
from ...runtime.pixels import to_network
from ..options import FEWEST, Options
from ..progress import Progress

SPREAD = 0.01
"""Smallest difference (0..1) between the densities of the densest and the sparsest tile."""
T = TypeVar("T")
PER_PICTURE = 3
"""Number of candidate tiles per picture; they lie in two opposite corners and in the middle."""


@dataclass(frozen=True)
class CalibrationPicture:
    """Picture or tile of a calibration."""

    name: str
    """Name of the file, and of a tile its place too."""
    pixels: np.ndarray
    """float32 [H, W, 3], RGB, 0..1."""
    target: np.ndarray | None = None
    """Clean picture in the same form; None if it is not known."""
    source: str = ""
    """Name of the picture that a tile was cut from; empty for a whole picture."""
    density: float = 1.0
    """Share of pixels (0..1) that the FP32 network finds distorted; 1 for a network without masks."""

    def digest(self) -> str:
        """Return the SHA-256 of all values."""
        digest = hashlib.sha256(repr(self.pixels.shape).encode() + self.pixels.tobytes())
        if self.target is not None:
            digest.update(self.target.tobytes())
        return digest.hexdigest()


def read_pictures(images: Path, targets: Path | None, options: Options, progress: Progress) -> list[CalibrationPicture]:
    """Read the degraded pictures and their clean partners.

    Args:
        images: folder of degraded pictures.
        targets: folder of clean pictures with the same stems, or None.
        options: number and size of the pictures.
        progress: receives the steps, see `Progress`.

    Raises:
        UserError: a folder is missing, there are too few pictures, a picture cannot be read or is smaller than a tile,
            or a picture has no clean partner of its size.
    """
    if not images.is_dir():
        raise UserError(
            f"the folder of degraded pictures {images} does not exist; give a folder with at least {FEWEST} of them"
        )
    files = [item.path for item in find_inputs([images])]
    if len(files) < FEWEST:
        raise UserError(
            f"{images} holds {len(files)} pictures, expected at least {FEWEST} to calibrate on; add pictures like the "
            "ones that will be restored"
        )
    files = spaced(files, options.pictures)
    partners = _find_targets(files, targets)
    pictures = []
    with progress("reading:") as tick:
        for count, file in enumerate(files, 1):
            pictures.append(_read_pair(file, partners.get(file.stem), options))
            tick(count, len(files), file.name)
    return pictures


def _find_targets(files: Sequence[Path], targets: Path | None) -> dict[str, Path]:
    if targets is None:
        return {}
    if not targets.is_dir():
        raise UserError(
            f"--clean {targets} does not exist; give the folder of the clean pictures, with the same file names"
        )
    found = {item.path.stem: item.path for item in find_inputs([targets])}
    alone = [file.name for file in files if file.stem not in found]
    if alone:
        raise UserError(
            f"{alone[0]} (and {len(alone) - 1} more) has no clean picture of the same stem in {targets}; "
            "complete the pairs, or leave --clean out"
        )
    return found


def _read_pair(file: Path, target: Path | None, options: Options) -> CalibrationPicture:
    pixels, tile = _read(file), options.tile
    height, width = pixels.shape[:2]
    if min(height, width) < tile:
        raise UserError(
            f"{file} has {width}x{height} pixels, expected at least a tile of {tile}x{tile}; leave the picture out, or "
            "give a smaller --tile"
        )
    clean = None if target is None else _read(target)
    if clean is not None and clean.shape != pixels.shape:
        raise UserError(
            f"{target} has {clean.shape[1]}x{clean.shape[0]} pixels, expected the {width}x{height} of {file}; "
            "give two pictures of the same size"
        )
    return CalibrationPicture(
        file.name, middle(pixels, options.side), None if clean is None else middle(clean, options.side)
    )


def middle(pixels: np.ndarray, side: int) -> np.ndarray:
    """Cut the middle out of a picture.

    Args:
        pixels: [H, W, C].
        side: largest height and width of the result in pixels.
    """
    top, left = (max(0, size - side) // 2 for size in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


def _read(file: Path) -> np.ndarray:
    planes = to_network(read_image(file).pixels, 1)[0]
    return np.ascontiguousarray(np.moveaxis(planes, 0, 2))


def choose_tiles(
    pictures: Sequence[CalibrationPicture],
    options: Options,
    find_mask: Callable[[CalibrationPicture], np.ndarray] | None,
) -> list[CalibrationPicture]:
    """Choose tiles at evenly spaced ranks of density.

    The sparsest and the densest tile are among them.

    Args:
        pictures: pictures to cut from.
        options: side and number of the tiles.
        find_mask: returns the mask [H, W] bool of a tile; None for a network without masks, whose tiles are chosen
            evenly from all.

    Raises:
        UserError: all tiles have almost the same density.
    """
    candidates = [tile for picture in pictures for tile in _cut(picture, options.tile, find_mask)]
    if find_mask is None:
        ordered = candidates
    else:
        ordered = sorted(candidates, key=lambda tile: tile.density)
        low, high = ordered[0].density, ordered[-1].density
        if high - low < SPREAD:
            raise UserError(
                f"all pieces of the {len(pictures)} pictures are {100 * low:.1f} to {100 * high:.1f} % distorted, "
                f"expected densities at least {100 * SPREAD:.0f} % apart; add pictures with more and less distortion"
            )
    return spaced(ordered, options.tiles)


def spaced(items: Sequence[T], most: int) -> list[T]:
    """Choose at most `most` items, evenly spaced.

    The first and the last item are among them.
    """
    ranks = np.unique(np.rint(np.linspace(0, len(items) - 1, min(most, len(items)))).astype(int))
    return [items[rank] for rank in ranks]


def _cut(
    picture: CalibrationPicture, side: int, find_mask: Callable[[CalibrationPicture], np.ndarray] | None
) -> list[CalibrationPicture]:
    room = [size - side for size in picture.pixels.shape[:2]]
    tiles = {}
    for step in range(PER_PICTURE):
        top, left = (space * step // (PER_PICTURE - 1) // 8 * 8 for space in room)
        window = (slice(top, top + side), slice(left, left + side))
        pixels = np.ascontiguousarray(picture.pixels[window])
        target = None if picture.target is None else np.ascontiguousarray(picture.target[window])
        tile = CalibrationPicture(f"{picture.name} at {left},{top}", pixels, target, picture.name)
        if find_mask is not None:
            tile = replace(tile, density=float(find_mask(tile).mean()))
        tiles[top, left] = tile
    return list(tiles.values())

"""Pictures of a calibration and their tiles.

Pictures are read and paired with clean ones. Their tiles cover the densities of distortion.
"""

from __future__ import annotations

import hashlib
from collections import Counter
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
HELD_BACK = 4
"""One picture of this number gives no ranges. On pictures that gave them INT8 loses less than on others: ranges of an
early calibration held the gate there, and lost 0.42 dB on other pictures of heavy rain."""
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
    """Clean picture in the same form, larger where the network enlarges; None if it is not known."""
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


def read_pictures(
    images: Path,
    targets: Path | None,
    options: Options,
    progress: Progress,
    announce: Callable[[str], None] = lambda sentence: None,
    scale: int = 1,
) -> list[CalibrationPicture]:
    """Read the degraded pictures and their clean partners.

    A picture that cannot be read, is smaller than a tile or differs in size from its partner is left out.

    Args:
        images: folder of degraded pictures.
        targets: folder of clean pictures with the same stems, or None.
        options: number and size of the pictures.
        progress: receives the steps, see `Progress`.
        announce: called with a sentence for each picture that is left out, that is one colour, or that occurs twice.
        scale: factor from the height and width of a degraded picture to those of its clean one.

    Raises:
        UserError: a folder is missing, there are too few pictures that can be used, or a picture has no clean partner,
            or several.
    """
    if not images.is_dir():
        what = "is no folder" if images.exists() else "does not exist"
        raise UserError(
            f"the folder of degraded pictures {images} {what}; give a folder with at least {FEWEST} of them"
        )
    files = [item.path for item in find_inputs([images])]
    if len(files) < FEWEST:
        raise UserError(
            f"{images} holds {len(files)} pictures, expected at least {FEWEST} to calibrate on; add pictures like the "
            "ones that will be restored"
        )
    files = spaced(files, options.pictures)
    partners = _find_targets(files, targets)
    pictures, refused = [], []
    with progress("reading:") as tick:
        for count, file in enumerate(files, 1):
            try:
                pictures.append(_read_pair(file, partners.get(file.stem), options, scale))
            except UserError as error:
                refused.append(str(error))
            tick(count, len(files), file.name)
    for reason in refused:
        announce(f"left out: {reason}")
    if len(pictures) < FEWEST:
        raise UserError(
            f"{len(pictures)} of the {len(files)} pictures of {images} can be used, expected at least {FEWEST}; "
            f"the first problem: {refused[0]}"
        )
    _warn_of_useless(pictures, announce)
    return pictures


def _warn_of_useless(pictures: Sequence[CalibrationPicture], announce: Callable[[str], None]) -> None:
    """Tell pictures that show the network nothing new."""
    seen: dict[str, str] = {}
    for picture in pictures:
        first = seen.setdefault(picture.digest(), picture.name)
        if first != picture.name:
            announce(f"{picture.name} is the same picture as {first}; a calibration needs different ones")
        elif np.ptp(picture.pixels, axis=(0, 1)).max() == 0:
            announce(f"{picture.name} has one colour only; a calibration needs pictures like those to restore")


def _find_targets(files: Sequence[Path], targets: Path | None) -> dict[str, Path]:
    if targets is None:
        return {}
    if not targets.is_dir():
        raise UserError(
            f"--clean {targets} does not exist; give the folder of the clean pictures, with the same file names"
        )
    _require_single(files, "picture")
    partners = [item.path for item in find_inputs([targets])]
    _require_single([path for path in partners if path.stem in {file.stem for file in files}], "clean picture")
    found = {path.stem: path for path in partners}
    alone = [file.name for file in files if file.stem not in found]
    if alone:
        raise UserError(
            f"{alone[0]} (and {len(alone) - 1} more) has no clean picture of the same stem in {targets}; "
            "complete the pairs, or leave --clean out"
        )
    return found


def _require_single(files: Sequence[Path], what: str) -> None:
    """Refuse two files of one stem.

    Raises:
        UserError: there are two.
    """
    seen: dict[str, Path] = {}
    for file in files:
        first = seen.setdefault(file.stem, file)
        if first != file:
            raise UserError(
                f"{first} and {file} are both the {what} of the stem {file.stem}, by which pairs are found; "
                "keep one of them"
            )


def _read_pair(file: Path, target: Path | None, options: Options, scale: int) -> CalibrationPicture:
    pixels, tile = _read(file), options.tile
    height, width = pixels.shape[:2]
    if min(height, width) < tile:
        raise UserError(
            f"{file} has {width}x{height} pixels, expected at least a tile of {tile}x{tile}; leave the picture out, or "
            "give a smaller --tile"
        )
    clean = None if target is None else _read(target)
    if clean is not None and clean.shape[:2] != (scale * height, scale * width):
        times = "" if scale == 1 else f", {scale} times as large"
        raise UserError(
            f"{target} has {clean.shape[1]}x{clean.shape[0]} pixels, expected the {width}x{height} of {file}{times}; "
            f"give two pictures of {'the same size' if scale == 1 else 'these sizes'}"
        )
    return CalibrationPicture(
        file.name, middle(pixels, options.side), None if clean is None else middle(clean, options.side, scale)
    )


def middle(pixels: np.ndarray, side: int, scale: int = 1) -> np.ndarray:
    """Cut the middle out of a picture.

    Args:
        pixels: [H, W, C].
        side: largest height and width of the result in pixels, over the scale.
        scale: factor by which the picture is larger than the one whose middle it belongs to.
    """
    top, left = (max(0, size // scale - side) // 2 * scale for size in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + scale * side, left : left + scale * side])


def _read(file: Path) -> np.ndarray:
    planes = to_network(read_image(file).pixels, 1)[0]
    return np.ascontiguousarray(np.moveaxis(planes, 0, 2))


def hold_back(pictures: Sequence[T]) -> tuple[list[T], list[T]]:
    """Hold pictures back from the ranges.

    Every fourth is held back, and at least one.

    Args:
        pictures: at least two.

    Returns:
        What gives ranges, and what is held back.
    """
    held = set(range(HELD_BACK - 1, len(pictures), HELD_BACK)) or {len(pictures) - 1}
    giving = [picture for place, picture in enumerate(pictures) if place not in held]
    return giving, [pictures[place] for place in sorted(held)]


def choose_tiles(
    pictures: Sequence[CalibrationPicture],
    options: Options,
    find_mask: Callable[[CalibrationPicture], np.ndarray] | None,
) -> list[CalibrationPicture]:
    """Choose tiles that cover densities and pictures.

    Densities are about evenly spaced. The sparsest and the densest tile are among them.

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
    return _cover(ordered, options.tiles)


def _cover(ordered: Sequence[CalibrationPicture], most: int) -> list[CalibrationPicture]:
    """Choose tiles at about evenly spaced ranks.

    The first and the last are among them. Half a step around any other rank, the tile is taken whose picture has given
    the fewest so far.
    """
    ranks = spaced(range(len(ordered)), most)
    reach = (len(ordered) - 1) / max(1, len(ranks) - 1) / 2
    chosen = {ranks[0], ranks[-1]}
    given = Counter(ordered[rank].source for rank in chosen)
    for rank in ranks[1:-1]:
        near = (other for other in range(len(ordered)) if abs(other - rank) < reach and other not in chosen)
        best = min(near, key=lambda other: (given[ordered[other].source], abs(other - rank)))
        given[ordered[best].source] += 1
        chosen.add(best)
    return [ordered[rank] for rank in sorted(chosen)]


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
        pixels = np.ascontiguousarray(picture.pixels[top : top + side, left : left + side])
        target = None if picture.target is None else _cut_target(picture, top, left, side)
        tile = CalibrationPicture(f"{picture.name} at {left},{top}", pixels, target, picture.name)
        if find_mask is not None:
            tile = replace(tile, density=float(find_mask(tile).mean()))
        tiles[top, left] = tile
    return list(tiles.values())


def _cut_target(picture: CalibrationPicture, top: int, left: int, side: int) -> np.ndarray:
    """Cut a tile out of a clean picture."""
    assert picture.target is not None
    scale = picture.target.shape[0] // picture.pixels.shape[0]
    rows, columns = (slice(scale * start, scale * (start + side)) for start in (top, left))
    return np.ascontiguousarray(picture.target[rows, columns])

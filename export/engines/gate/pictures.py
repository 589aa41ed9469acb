"""Pictures on which engines are compared."""

from __future__ import annotations

import importlib.resources
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....runtime.images import read_image

PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png")
"""Photographs in the folder skimage/data of scikit-image's wheel."""
SIZES = ((320, 240), (203, 125), (256, 8))
"""Widths and heights in pixels: a common one, one that no network's multiple divides, and a strip."""
MASKS = (0.02, 0.3, 1.0)
"""Shares of distorted pixels of the masks that are given with a picture."""
_SEED = 20211011


@dataclass(frozen=True)
class Sample:
    """Picture that an engine restores."""

    name: str
    picture: np.ndarray
    """[H, W, 3] uint8 RGB."""
    mask: np.ndarray | None = None
    """[H, W] bool, True at distorted pixels. None lets the network find them; then the engine of the whole network
    runs, and with a mask those of its stages."""


def make_samples(largest: tuple[int, int]) -> list[Sample]:
    """Make rainy pictures, and masks for some of them.

    They are photographs where scikit-image is installed, else smooth coloured pictures.

    Args:
        largest: largest width and height in pixels that the engine takes.

    Returns:
        For each of `SIZES`, as far as it fits, a picture in rain and a dry one whose mask the network finds, and the
        rainy picture with a mask of each share in `MASKS`. The same ones on every call.
    """
    random = np.random.default_rng(_SEED)
    samples = []
    for index, size in enumerate(SIZES):
        width, height = (min(side, most) for side, most in zip(size, largest, strict=True))
        clean = _crop(_read_photo(PHOTOS[index]), width, height, random)
        rainy = add_streaks(clean, random)
        name = f"{width}x{height}"
        samples += [Sample(f"{name} in rain", rainy), Sample(f"{name} dry", clean)]
        share = MASKS[index]
        samples.append(Sample(f"{name} with {share:.0%} masked", rainy, _make_mask((height, width), share, random)))
    return samples


def add_streaks(clean: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Lay bright slanted streaks over a picture.

    Args:
        clean: [H, W, 3] uint8.
        random: source of places, lengths and brightness.

    Returns:
        [H, W, 3] uint8.
    """
    height, width = clean.shape[:2]
    light = np.zeros((height, width), np.float32)
    for _ in range(max(1, height * width // 600)):
        length, slant = int(random.integers(8, 24)), random.uniform(-0.3, 0.1)
        top, left = int(random.integers(0, height)), random.uniform(0, width)
        rows = np.arange(top, min(top + length, height))
        columns = np.clip(left + slant * (rows - top), 0, width - 1).astype(int)
        light[rows, columns] = np.maximum(light[rows, columns], random.uniform(0.3, 0.7))
    rainy = clean + light[..., None] * (255.0 - clean)
    return np.rint(rainy).astype(np.uint8)


def _make_mask(size: tuple[int, int], share: float, random: np.random.Generator) -> np.ndarray:
    """Make a mask of blocks with about the given share."""
    coarse = random.random((-(-size[0] // 4), -(-size[1] // 4))) < share
    mask = coarse.repeat(4, axis=0).repeat(4, axis=1)[: size[0], : size[1]]
    mask[size[0] // 2, size[1] // 2] = True
    return np.ascontiguousarray(mask)


def _crop(photo: np.ndarray | None, width: int, height: int, random: np.random.Generator) -> np.ndarray:
    """Cut the middle out of a photograph.

    Where there is none, or too small a one, a picture is made.
    """
    if photo is None or photo.shape[0] < height or photo.shape[1] < width:
        return _make_smooth(width, height, random)
    top, left = (photo.shape[0] - height) // 2, (photo.shape[1] - width) // 2
    return np.ascontiguousarray(photo[top : top + height, left : left + width])


def _make_smooth(width: int, height: int, random: np.random.Generator) -> np.ndarray:
    """Make a picture of large waves with a little grain."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [
        np.sin(rows / random.uniform(9, 40) + random.uniform(0, 6)) * np.cos(columns / random.uniform(9, 40))
        for _ in range(3)
    ]
    values = 120 + 70 * np.stack(waves, axis=-1) + random.normal(0, 4, (height, width, 3))
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _read_photo(file: str) -> np.ndarray | None:
    """Read a photograph.

    Returns:
        [H, W, 3] uint8; None where scikit-image is not installed or has no such file.
    """
    if importlib.util.find_spec("skimage") is None:
        return None
    with importlib.resources.as_file(importlib.resources.files("skimage") / "data" / file) as path:
        return np.ascontiguousarray(read_image(path).pixels[..., :3]) if path.is_file() else None


def describe(samples: Sequence[Sample]) -> str:
    """Name the samples in a message."""
    return ", ".join(sample.name for sample in samples)

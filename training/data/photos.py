"""Photographs of scikit-image's package, rained on with fixed seeds."""

from __future__ import annotations

import importlib.resources
import importlib.util
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")
"""Files in the folder skimage/data of the wheel itself, so that nothing is downloaded."""

SEED = 20211011
"""First number of all seeds."""
CROP = 160
"""Side in pixels of the crops on which lower precisions are calibrated."""


class RainedPhoto(NamedTuple):
    """Photograph without and with rain."""

    name: str
    rain: str
    """Kind of rain: "dry", "light" or "heavy"."""
    clean: np.ndarray
    """[H, W, 3] uint8 RGB."""
    degraded: np.ndarray
    """[H, W, 3] uint8 RGB; equal to `clean` when dry."""


def sample_photos() -> Iterator[RainedPhoto]:
    """Yield every photograph in light and in heavy rain.

    The first one comes dry as well, which shows the cost of a clean picture.

    Raises:
        UserError: the installed scikit-image does not have one of the photographs.
    """
    for index, file in enumerate(PHOTOS):
        clean = read_photo(file)
        name = _name(file)
        if index == 0:
            yield RainedPhoto(name, "dry", clean, clean)
        for level, kind in enumerate(("light", "heavy")):
            yield RainedPhoto(name, kind, clean, rain_on(clean, kind, seed=[SEED, index, level]))


def _name(file: str) -> str:
    return file.partition(".")[0].removesuffix("_left")


def calibration_pairs() -> Iterator[RainedPhoto]:
    """Yield the middle of every photograph in the rain.

    Each comes in light and in heavy rain. The middle has CROP pixels a side. The seeds differ from those of
    `sample_photos`.
    """
    for index, file in enumerate(PHOTOS):
        photo = read_photo(file)
        top, left = (max(0, size - CROP) // 2 for size in photo.shape[:2])
        clean = np.ascontiguousarray(photo[top : top + CROP, left : left + CROP])
        for level, kind in enumerate(("light", "heavy")):
            rainy = rain_on(clean, kind, seed=[SEED, index, level, CROP])
            yield RainedPhoto(_name(file), kind, clean, rainy)


def rain_on(clean: np.ndarray, kind: str, seed: list[int]) -> np.ndarray:
    """Lay "light" or "heavy" rain over a picture.

    Pictures are [H, W, 3] uint8. The same seed gives the same bytes.
    """
    from ..simulators.rain import Rain, add_rain

    rains = {
        "light": Rain(angle=-12.0, length=24.0, width=0.6, density=0.001, opacity=0.5, veil=0.0),
        "heavy": Rain(angle=15.0, length=30.0, width=0.8, density=0.005, opacity=0.5, veil=0.0),
    }
    rainy = add_rain(clean.astype(np.float32) / np.float32(255), rains[kind], np.random.default_rng(seed)).image
    return np.rint(rainy * 255).astype(np.uint8)


def read_photo(file: str) -> np.ndarray:
    """Read a photograph of scikit-image's package.

    It is [H, W, 3] uint8 RGB.

    Raises:
        UserError: the installed scikit-image does not have it.
    """
    from ...runtime.errors import UserError
    from ...runtime.images import read_image

    with importlib.resources.as_file(importlib.resources.files("skimage") / "data" / file) as path:
        if not path.is_file():
            raise UserError(f"the installed scikit-image has no sample photo {file}; pip install 'scikit-image>=0.24'")
        return np.ascontiguousarray(read_image(path).pixels[..., :3])


def read_default_photo() -> tuple[str, np.ndarray]:
    """Read the widest photograph in light rain, with its name.

    The pixels are uint8 [H, W, 3] RGB.

    Raises:
        UserError: scikit-image, which has the photograph, or scipy, which the rain needs, is not installed.
    """
    from ...runtime.errors import UserError

    missing = [name for name in ("skimage", "scipy") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"the default picture is a photo of scikit-image in made rain, but {' and '.join(missing)} cannot be "
            "imported; name a picture with --image FILE"
        )
    file = PHOTOS[-1]
    name = _name(file)
    return f"{name} in light rain", rain_on(read_photo(file), "light", seed=[SEED, 0])

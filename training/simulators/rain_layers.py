"""Rain of one picture, to lay over another.

A layer is the light that rain adds. A pair shows it as the difference of its pictures, but for channels that are
white in the rainy one: how much rain added beyond white is not seen there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

WHITE = 255
SHEAR = 0.12
"""Largest shift of a varied layer from row to row, in pixels: seven degrees."""
GAIN = 1.3
"""Largest factor by which a varied layer becomes brighter or darker."""


class RainLayer(NamedTuple):
    """Light that rain adds."""

    light: np.ndarray
    """Light in 255ths, int16 [H,W,3]; a lower bound where it is not seen."""
    seen: np.ndarray
    """Whether it is seen, bool [H,W]."""


def find_layer(degraded: np.ndarray, clean: np.ndarray) -> RainLayer:
    """Find the layer of a pair.

    Rain is gray, so a white channel takes the light of the channel that shows most. Without this, the layer keeps the
    colours and the shapes of the bright things behind it.

    Args:
        degraded: uint8 [H,W,3].
        clean: uint8 [H,W,3].
    """
    light = degraded.astype(np.int16) - clean
    white = degraded == WHITE
    light = np.where(white, light.max(axis=2, keepdims=True), light)
    return RainLayer(light, ~white.all(axis=2))


def complete_light(layers: list[RainLayer]) -> np.ndarray:
    """Complete one layer with others of the same rain.

    It is the one that shows most of its light. What no layer shows is at least as bright as the brightest bound.

    Args:
        layers: of the same rain and of equal size, at least one.

    Returns:
        int16 [H,W,3].
    """
    first, *others = sorted(layers, key=lambda layer: -layer.seen.mean())
    light, seen = first.light, first.seen
    for other in others:
        light = np.where(seen[..., None], light, np.maximum(light, other.light))
        seen = seen | other.seen
    return light


def find_margin(size: int) -> int:
    """Return the margin that `vary_light` needs.

    It is in columns on either side of a layer of `size` rows.
    """
    return int(np.ceil(SHEAR * size / 2))


def vary_light(rng: np.random.Generator, light: np.ndarray, margin: int) -> np.ndarray:
    """Vary the direction, slant and brightness of a layer.

    It may be turned upside down. Rows are shifted by whole pixels, which keeps streaks sharp.

    Args:
        rng: source of everything that is drawn.
        light: int16 [P,P+2*margin,3].
        margin: columns on either side that the result lacks. It limits the slant.

    Returns:
        int16 [P,P,3].
    """
    size = len(light)
    if rng.random() < 0.5:
        light = light[::-1]
    slant = rng.uniform(-1.0, 1.0) * min(SHEAR, 2 * margin / size)
    shifts = np.rint(slant * (np.arange(size) - (size - 1) / 2)).astype(int)
    columns = margin + np.arange(size) + shifts[:, None]
    sheared = np.take_along_axis(light, columns[..., None], axis=1)
    return np.rint(sheared * np.exp(rng.uniform(-1.0, 1.0) * np.log(GAIN))).astype(np.int16)

"""Range of values that a foreign network gives."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...runtime.errors import UserError
from .adapter import Adapted
from .interface import RANGES, ForeignInterface

LARGE = 4.0
"""Magnitude above which values cannot be those of a picture in 0..1 that a network changed."""
LARGEST = 1024.0
"""Magnitude up to which values can be those of a picture in 0..255 that a network changed."""
CLOSE = 0.2
"""Largest error of the slope and the offset of a line, relative to the expected one, that still names a range."""
STRAIGHT = 0.9
"""Smallest correlation of output and input at which a line through them says something."""


def find_range(
    adapted: Adapted, interface: ForeignInterface, size: tuple[int, int]
) -> tuple[tuple[float, float], tuple[str, ...]]:
    """Find what brings a module's picture to 0..1.

    Pictures of 0..1 are restored: dark, bright and textured ones. Most restoration networks give nearly what they take,
    so a line through input and output names the range. Where they do not, the magnitude decides.

    Args:
        adapted: the module, whose output is taken as it is.
        interface: what the user said.
        size: height and width of a picture that the module takes.

    Returns:
        Factor and summand, and what is to be said about them.

    Raises:
        UserError: the values are those of no range.
    """
    if interface.output_range is not None:
        return RANGES[interface.output_range], (f"its output is taken to lie in {interface.output_range}",)
    given, got = _sample(adapted, interface.channels, size)
    if not np.isfinite(got).all():
        raise UserError(
            f"{type(adapted.module).__name__} gives values that are not finite for pictures of 0..1; check the "
            "checkpoint, or the range of values that the network takes"
        )
    named = _name_range(given, got)
    if named == "0..1" and _saturates(adapted, interface.channels, size):
        named = "-1..1"
    if named is None:
        raise UserError(
            f"{type(adapted.module).__name__} gives values from {got.min():.4g} to {got.max():.4g} for pictures of "
            "0..1, which is no range of pictures; give --output-range 0..1, -1..1 or 0..255, or wrap the network in a "
            "factory that takes and gives 0..1"
        )
    if named == "0..1":
        return RANGES[named], ()
    return RANGES[named], (f"its output lies in {named}, and the graph brings it to 0..1",)


def _sample(adapted: Adapted, channels: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Run a module on three pictures.

    They are a dark, a textured and a bright one.

    Returns:
        Mean values of the input and the output on a grid of cells.
    """
    texture = torch.rand(1, channels, *size, generator=torch.Generator().manual_seed(5))
    pictures = [torch.full_like(texture, 0.02), texture, torch.full_like(texture, 0.98)]
    given, got = [], []
    for picture in pictures:
        with torch.no_grad():
            restored = adapted(picture)[0]
        given.append(_shrink(picture, 4))
        got.append(_shrink(restored, 4))
    return np.concatenate(given), np.concatenate(got)


def _shrink(picture: Tensor, most: int) -> np.ndarray:
    """Average a picture over a grid of cells."""
    height, width = (min(most, side) for side in picture.shape[2:])
    cells = torch.nn.functional.adaptive_avg_pool2d(picture, (height, width))
    return cells.double().numpy().ravel()


def _name_range(given: np.ndarray, got: np.ndarray) -> str | None:
    low, high = float(got.min()), float(got.max())
    straight = float(got.std()) > 0 and float(np.corrcoef(given, got)[0, 1]) >= STRAIGHT
    if straight:
        slope, offset = np.polyfit(given, got, 1)
        for name, (factor, summand) in RANGES.items():
            expected = 1.0 / factor
            if abs(slope - expected) <= CLOSE * expected and abs(offset + summand / factor) <= CLOSE * expected:
                return name
    dark = float(got[: len(got) // 3].mean())
    if abs(dark + 1.0) <= CLOSE and high <= LARGE:
        return "-1..1"  # black is -1
    magnitude = max(-low, high)
    if magnitude <= LARGE:
        return "0..1"
    return "0..255" if magnitude <= LARGEST and not straight else None


def _saturates(adapted: Adapted, channels: int, size: tuple[int, int]) -> bool:
    """Tell whether a module's values end at -1 and 1."""
    picture = torch.rand(1, channels, *size, generator=torch.Generator().manual_seed(6)) - 0.5
    with torch.no_grad():
        extremes = [float(value) for value in torch.aminmax(adapted(picture * 1e4)[0].float())]
    return abs(extremes[0] + 1.0) < 1e-3 and extremes[1] <= 1.0 + 1e-3

"""Float pictures in ranges other than 0..1."""

from __future__ import annotations

import numpy as np

from ..errors import UserError


def to_unit(pixels: np.ndarray, bounds: tuple[float, float] | None, name: str) -> np.ndarray:
    """Scale the colours of a float picture to 0..1.

    Args:
        pixels: [H, W, C]; integers are returned as they are, and alpha stays.
        bounds: lowest and highest value; None for 0 and 1.
        name: words that messages call the picture by.

    Returns:
        The very array where nothing is to be scaled.

    Raises:
        UserError: values are not finite, or outside of the bounds.
    """
    if pixels.dtype != np.float32:
        return pixels
    colours = pixels[..., : _count_colours(pixels)]
    low, high = bounds or (0.0, 1.0)
    least, most = float(colours.min()), float(colours.max())  # both are NaN if any value is NaN
    if not np.isfinite(least + most):
        raise UserError(f"cannot restore {name}: it has NaN or infinite samples; replace them by numbers first")
    if least < np.float32(low) or most > np.float32(high):  # as 0.1 is a little more in float32
        raise UserError(
            f"cannot restore {name}: its float samples run from {least:g} to {most:g}, expected {low:g} to {high:g}; "
            f"give their range, for example --range {_round_down(least):g}:{_round_up(most):g}"
        )
    if bounds is None:
        return pixels
    scaled: np.ndarray = pixels.copy()
    scaled[..., : colours.shape[2]] = np.clip((colours.astype(np.float64) - low) / (high - low), 0.0, 1.0)
    return scaled


def from_unit(
    restored: np.ndarray, scaled: np.ndarray, pixels: np.ndarray, bounds: tuple[float, float] | None
) -> np.ndarray:
    """Scale a restored picture back.

    Args:
        restored: the restored form of `scaled`.
        scaled: what `to_unit` returned.
        pixels: what it was given; samples that were not restored are taken from it bit for bit.
        bounds: see `to_unit`.
    """
    if bounds is None or pixels.dtype != np.float32:
        return restored
    low, high = bounds
    back = (restored.astype(np.float64) * (high - low) + low).astype(np.float32)
    return np.where(restored == scaled, pixels, back)


def _count_colours(pixels: np.ndarray) -> int:
    """Count the channels without alpha."""
    return int(pixels.shape[2]) - (pixels.shape[2] in (2, 4))


def _round_down(value: float) -> float:
    """Round down to two digits, or to 0."""
    return 0.0 if value >= 0 else -_round_up(-value)


def _round_up(value: float) -> float:
    """Round up to two digits, or to a usual bound."""
    value = float(f"{value:.6g}")  # -0.1 is a little less in float32
    for usual in (1.0, 255.0, 65535.0):
        if 0.5 * usual < value <= usual:
            return usual
    scale = 10.0 ** (np.floor(np.log10(value)) - 1) if value > 0 else 1.0
    return float(np.ceil(value / scale) * scale)

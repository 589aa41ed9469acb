"""Rain streaks in layers, and the veil of distant rain.

A streak is the path of a drop during the exposure. The streaks of one layer have one angle.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.signal import oaconvolve

from .base import Degraded, crop, draw_log, draw_smooth_noise, find_visible

SKY = 0.8
"""Brightness of the veil, 0..1."""


@dataclasses.dataclass(frozen=True)
class Rain:
    """Appearance of one rain.

    All lengths are in pixels.
    """

    angle: float
    """Degrees from vertical, positive leans right."""
    length: float
    """Length of a streak in pixels."""
    width: float
    """Standard deviation of a streak's cross-section in pixels."""
    density: float
    """Share of pixels in which a streak of a layer begins, 0..1."""
    opacity: float
    """Brightness that the strongest streak of a layer adds, 0..1."""
    veil: float
    """Share of atmospheric light mixed in everywhere, 0..1."""
    layers: int = 1
    """Number of layers of streaks on top of each other, as from near and far drops."""
    spread: float = 0.0
    """Standard deviation of the layers' angles in degrees."""
    variety: float = 0.0
    """Standard deviation of the logarithm of the layers' sizes, which are kept between half and twice the size."""
    taper: float = 0.0
    """Share of a streak over which its ends fade, 0..1; 0 cuts the ends off."""
    skew: float = 1.0
    """Power that makes most streaks fainter than the strongest one.

    With 1 the strengths lie evenly between 0.3 and 1 of the strongest.
    """
    drift: float = 0.0
    """Standard deviation of the veil over the picture, as a share of the veil; 0 makes it the same everywhere."""

    def __post_init__(self) -> None:
        if self.length < 1 or self.width <= 0 or not 0 <= self.density <= 1:
            raise ValueError(f"{self}: length must be >= 1, width > 0 and density in 0..1")
        if not (0 <= self.opacity <= 1 and 0 <= self.veil < 1):
            raise ValueError(f"{self}: opacity must lie in 0..1 and veil in 0..1, below 1")
        if self.layers < 1 or self.skew < 1 or not 0 <= self.spread <= 45:
            raise ValueError(f"{self}: layers and skew must be >= 1 and spread in 0..45")
        if self.variety < 0 or self.drift < 0 or not 0 <= self.taper <= 1:
            raise ValueError(f"{self}: variety and drift must be >= 0 and taper in 0..1")

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Rain:
        """Draw a random rain.

        It is nearly no rain, light rain (as Rain100L), heavy rain in layers (as Rain100H), or fine rain with a veil.
        """
        kind = rng.random()
        if kind < 0.45:
            return cls.draw_light(
                rng, density=draw_log(rng, 1e-5, 5e-4) if kind < 0.08 else draw_log(rng, 0.0015, 0.01)
            )
        return cls.draw_heavy(rng) if kind < 0.8 else cls.draw_fine(rng)

    @classmethod
    def draw_light(cls, rng: np.random.Generator, density: float) -> Rain:
        """Draw light rain with distinct streaks of one direction.

        Rain100L looks like this (Yang et al., CVPR 2017).
        """
        layers = int(rng.integers(1, 4))
        return cls(
            angle=rng.normal(0.0, 18.0),
            length=draw_log(rng, 10.0, 45.0),
            width=rng.uniform(0.35, 1.1),
            density=density / layers,
            opacity=rng.uniform(0.15, 0.8),
            veil=0.0,
            layers=layers,
            spread=rng.uniform(0.0, 2.0),
            variety=0.5,
            taper=rng.random(),
            skew=rng.uniform(1.0, 4.0),
        )

    @classmethod
    def draw_heavy(cls, rng: np.random.Generator) -> Rain:
        """Draw heavy rain in layers of long streaks.

        The streaks cover most of the picture; Rain100H looks like this.
        """
        layers = int(rng.integers(1, 5))
        return cls(
            angle=rng.normal(0.0, 15.0),
            length=draw_log(rng, 15.0, 60.0),
            width=rng.uniform(0.4, 1.3),
            density=draw_log(rng, 0.012, 0.035) / layers,
            opacity=rng.uniform(0.2, 0.6),
            veil=rng.uniform(0.0, 0.1) if rng.random() < 0.1 else 0.0,
            layers=layers,
            spread=rng.uniform(0.0, 16.0),
            variety=0.4,
            taper=rng.random(),
            skew=rng.uniform(1.0, 2.0),
        )

    @classmethod
    def draw_fine(cls, rng: np.random.Generator) -> Rain:
        """Draw fine rain with the faint streaks of a photograph.

        In about half of the draws the haze of distant rain lies over the picture.
        """
        layers = int(rng.integers(1, 4))
        return cls(
            angle=rng.normal(0.0, 15.0),
            length=draw_log(rng, 4.0, 30.0),
            width=rng.uniform(0.35, 1.0),
            density=draw_log(rng, 0.002, 0.02) / layers,
            opacity=rng.uniform(0.08, 0.45),
            veil=rng.uniform(0.0, 0.35) if rng.random() < 0.5 else 0.0,
            layers=layers,
            spread=rng.uniform(0.0, 8.0),
            variety=0.4,
            taper=rng.random(),
            skew=rng.uniform(1.0, 3.0),
            drift=rng.uniform(0.0, 0.5),
        )


def simulate_rain(image: np.ndarray, rng: np.random.Generator, margin: int = 0) -> Degraded:
    """Lay a random rain over a picture."""
    return crop(add_rain(image, Rain.draw(rng), rng), margin)


def add_rain(image: np.ndarray, rain: Rain, rng: np.random.Generator) -> Degraded:
    """Lay rain over a picture.

    Args:
        image: HxWx3 float32 RGB 0..1.
        rain: appearance of the rain.
        rng: source of the drops' places; the same state gives the same bytes.

    Returns:
        The picture, brighter than the input where there are streaks, and the mask of visible rain.
    """
    height, width = image.shape[:2]
    layer = np.zeros((height, width))
    for number in range(rain.layers):
        layer += draw_streaks(rain if number == 0 else _vary(rain, rng), height, width, rng)
    veil: float | np.ndarray = rain.veil
    if rain.veil and rain.drift:
        waves = draw_smooth_noise(rng, height, width, scale=120.0)
        veil = np.clip(rain.veil * (1.0 + rain.drift * waves), 0.0, 0.95)[..., None]
    veiled = image * (1.0 - veil) + SKY * veil
    rained = np.clip(veiled + layer[..., None], 0.0, 1.0).astype(np.float32)
    return Degraded(rained, find_visible(rained, image))


def draw_streaks(rain: Rain, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the brightness that one layer of streaks adds.

    Returns:
        HxW float64, 0..opacity.
    """
    kernel = streak_kernel(rain)
    margin = len(kernel) // 2  # streaks that begin outside the picture reach into it
    shape = (height + 2 * margin, width + 2 * margin)
    drops = (rng.random(shape, np.float32) < rain.density) * rng.uniform(0.3, 1.0, shape) ** rain.skew
    return np.clip(oaconvolve(drops, kernel, mode="valid"), 0.0, 1.0) * rain.opacity


def streak_kernel(rain: Rain) -> np.ndarray:
    """Compute the image of one streak.

    Returns:
        Square float64 kernel whose peak is 1.
    """
    half = int(np.ceil(rain.length / 2 + 3 * rain.width))
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
    angle = np.deg2rad(rain.angle)
    along = y * np.cos(angle) + x * np.sin(angle)
    across = x * np.cos(angle) - y * np.sin(angle)
    ends = np.clip((0.5 - np.abs(along) / rain.length) / max(0.5 * rain.taper, 1e-9), 0.0, 1.0)
    kernel = np.exp(-0.5 * (across / rain.width) ** 2) * ends
    kernel = gaussian_filter(kernel, 0.5)
    return kernel / kernel.max()


def _vary(rain: Rain, rng: np.random.Generator) -> Rain:
    """Draw the angle and size of a further layer."""
    size = float(np.exp(np.clip(rng.normal(0.0, rain.variety), -np.log(2.0), np.log(2.0))))
    angle = rain.angle + rng.normal(0.0, rain.spread)
    return dataclasses.replace(rain, angle=angle, length=max(1.0, rain.length * size), width=rain.width * size**0.5)

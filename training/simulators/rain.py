"""Rain streaks: motion-blurred drops at one angle, plus the veil that distant rain lays over a picture."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.signal import oaconvolve


@dataclasses.dataclass(frozen=True)
class Rain:
    """One rain: all lengths in pixels."""

    angle: float
    """Degrees from vertical, positive leans right."""
    length: float
    """Length of a streak."""
    width: float
    """Standard deviation of a streak's cross-section."""
    density: float
    """Share of pixels in which a streak begins, 0..1."""
    opacity: float
    """Brightness that the strongest streak adds, 0..1."""
    veil: float
    """Share of atmospheric light mixed in everywhere, 0..1."""

    def __post_init__(self) -> None:
        if self.length < 1 or self.width <= 0 or not 0 <= self.density <= 1:
            raise ValueError(f"{self}: length must be >= 1, width > 0 and density in 0..1")
        if not (0 <= self.opacity <= 1 and 0 <= self.veil < 1):
            raise ValueError(f"{self}: opacity must lie in 0..1 and veil in 0..1, below 1")

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Rain:
        """A random rain, from drizzle to downpour."""
        heavy = rng.random()
        return cls(
            angle=rng.normal(0.0, 18.0),
            length=rng.uniform(8.0, 40.0),
            width=rng.uniform(0.4, 1.3),
            density=0.0008 + 0.012 * heavy * heavy,
            opacity=rng.uniform(0.25, 0.9),
            veil=rng.uniform(0.0, 0.12) if heavy > 0.6 else 0.0,
        )


def add_rain(image: np.ndarray, rain: Rain, rng: np.random.Generator) -> np.ndarray:
    """Lay rain over a picture.

    Args:
        image: HxWx3 float32 RGB 0..1.
        rain: what rain.
        rng: where the drops are; the same state gives the same bytes.

    Returns:
        HxWx3 float32 0..1; brighter than the input wherever a streak is.
    """
    height, width = image.shape[:2]
    kernel = streak_kernel(rain)
    margin = max(kernel.shape)  # drops that start outside reach in
    shape = (height + 2 * margin, width + 2 * margin)
    drops = (rng.random(shape) < rain.density) * rng.uniform(0.3, 1.0, shape)
    layer = oaconvolve(drops, kernel, mode="same")[margin : margin + height, margin : margin + width]
    layer = np.clip(layer, 0.0, 1.0)[..., None] * rain.opacity
    veiled = image * (1.0 - rain.veil) + 0.8 * rain.veil
    return np.clip(veiled + layer, 0.0, 1.0).astype(np.float32)


def streak_kernel(rain: Rain) -> np.ndarray:
    """Square float64 kernel of one streak, peak 1."""
    half = int(np.ceil(rain.length / 2 + 3 * rain.width))
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
    angle = np.deg2rad(rain.angle)
    along = y * np.cos(angle) + x * np.sin(angle)
    across = x * np.cos(angle) - y * np.sin(angle)
    kernel = np.exp(-0.5 * (across / rain.width) ** 2) * (np.abs(along) <= rain.length / 2)
    kernel = gaussian_filter(kernel, 0.5)
    return kernel / kernel.max()

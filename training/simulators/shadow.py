"""Cast shadows with soft edges.

In a shadow the direct light is missing and the bluer light of the sky remains.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.ndimage import gaussian_filter

from .base import VISIBLE, Degraded, crop, draw_log, draw_smooth_noise, from_linear, to_linear

SHAPES = ("plane", "band", "polygon", "blob", "patches", "foliage")
"""Kinds of outlines: a building's edge, a pole, a wall, an object, clouds of leaves, the light under a tree."""


@dataclasses.dataclass(frozen=True)
class Shadow:
    """Appearance of one shadow.

    Lengths are in pixels of a 640x425 picture.
    """

    shapes: tuple[str, ...]
    """Names of `SHAPES` that cast the shadow together; an empty tuple casts none."""
    size: float
    """Radius or width of the shapes in pixels."""
    penumbra: float
    """Standard deviation of the softest edge in pixels."""
    contact: float
    """Standard deviation of the sharpest edge, as a share of `penumbra`, 0..1.

    An edge is sharpest where the shadow meets the object that casts it.
    """
    light: tuple[float, float, float]
    """Share of red, green and blue light that remains in the full shadow, linear, 0..1."""
    variation: float
    """Standard deviation of the remaining light over the picture, as a share of that light."""

    def __post_init__(self) -> None:
        if unknown := [shape for shape in self.shapes if shape not in SHAPES]:
            raise ValueError(f"{self}: shapes holds {unknown[0]!r}, expected names among {', '.join(SHAPES)}")
        if self.size <= 0 or self.penumbra <= 0 or not 0 <= self.contact <= 1:
            raise ValueError(f"{self}: size and penumbra must be above 0 and contact in 0..1")
        if not all(0 <= share <= 1 for share in self.light) or not 0 <= self.variation <= 1:
            raise ValueError(f"{self}: light and variation must lie in 0..1")

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Shadow:
        """Draw a random shadow.

        It ranges from none or a pale shadow to a nearly black one. The pairs of Guo et al. have light of 0.15..0.20
        (red), 0.22..0.23 (green) and 0.27..0.34 (blue), which varies by 0.12.
        """
        green = draw_log(rng, 0.5, 0.9) if rng.random() < 0.1 else draw_log(rng, 0.07, 0.5)
        warm = rng.uniform(0.6, 1.0)
        count = 0 if rng.random() < 0.08 else int(rng.choice((1, 1, 2, 3)))
        return cls(
            shapes=tuple(SHAPES[i] for i in rng.integers(len(SHAPES), size=count)),
            size=draw_log(rng, 15.0, 160.0),
            penumbra=draw_log(rng, 0.8, 12.0),
            contact=rng.uniform(0.2, 1.0),
            light=(green * warm, green, min(1.0, green * rng.uniform(1.0, 1.6))),
            variation=rng.uniform(0.0, 0.15),
        )


def simulate_shadow(image: np.ndarray, rng: np.random.Generator, margin: int = 0) -> Degraded:
    """Cast a random shadow on a picture."""
    return crop(add_shadow(image, Shadow.draw(rng), rng), margin)


def add_shadow(image: np.ndarray, shadow: Shadow, rng: np.random.Generator) -> Degraded:
    """Cast a shadow on a picture.

    The linear light is scaled by 1 - depth * (1 - light), where depth lies in 0..1.

    Args:
        image: HxWx3 float32 RGB 0..1.
        shadow: appearance of the shadow.
        rng: source of the shadow's place; the same state gives the same bytes.

    Returns:
        The picture, nowhere brighter than the input, and its mask. The mask is true where a white surface would visibly
        darken, so dark objects belong to the shadow that they lie in.
    """
    height, width = image.shape[:2]
    depth = _draw_depth(shadow, height, width, rng)
    if depth is None:
        return Degraded(image.astype(np.float32), np.zeros((height, width), bool))
    light = np.asarray(shadow.light, np.float32)
    if shadow.variation:
        waves = draw_smooth_noise(rng, height, width, scale=80.0)
        light = np.clip(light * (1.0 + shadow.variation * waves[..., None]), 0.0, 1.0)
    share = 1.0 - depth[..., None] * (1.0 - light)
    shaded = np.where(share < 1.0, np.minimum(from_linear(to_linear(image) * share), image), image)
    return Degraded(shaded.astype(np.float32), (1.0 - from_linear(share.min(axis=2))) > VISIBLE)


def _draw_depth(shadow: Shadow, height: int, width: int, rng: np.random.Generator) -> np.ndarray | None:
    """Draw the depth of the shadow in each pixel.

    Returns:
        HxW float32 0..1, the share of direct light that is missing; None if the shadow has no shapes.
    """
    if not shadow.shapes:
        return None
    pad = int(np.ceil(3 * shadow.penumbra))
    tall, wide = height + 2 * pad, width + 2 * pad
    inside = np.zeros((tall, wide), np.float32)
    for shape in shadow.shapes:
        inside = np.maximum(inside, np.clip(_draw_field(shape, shadow.size, tall, wide, rng) + 0.5, 0.0, 1.0))
    depth = gaussian_filter(inside, shadow.penumbra)
    if shadow.contact < 1.0:  # an edge is softer the farther it lies from the object
        sharp = gaussian_filter(inside, max(0.4, shadow.penumbra * shadow.contact))
        share = np.clip(0.5 + 0.5 * draw_smooth_noise(rng, tall, wide, scale=60.0), 0.0, 1.0)
        depth = share * depth + (1.0 - share) * sharp
    depth = depth[pad : pad + height, pad : pad + width]
    return np.where(depth < 1e-3, np.float32(0.0), depth)


def _draw_field(shape: str, size: float, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a random shape as a field of distances.

    Returns:
        HxW: above 0 inside the shape and below 0 outside; near the edge the unit is about one pixel of distance from
            it.
    """
    if shape in ("patches", "foliage"):
        return _draw_leaves(size, height, width, rng, fine=shape == "foliage")
    turn = rng.uniform(0.0, 2.0 * np.pi)
    y0, x0 = rng.uniform(-0.1, 1.1, 2) * (height, width)  # where an edge passes, roughly
    y, x = np.ogrid[:height, :width]
    y, x = (y - y0).astype(np.float32), (x - x0).astype(np.float32)
    along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    if shape == "plane":
        return across + size / 10.0 * rng.uniform(0.0, 1.0) * draw_smooth_noise(rng, height, width, scale=size / 2.0)
    if shape == "band":
        taper = 1.0 + rng.uniform(-0.3, 0.3) * along / 100.0
        return rng.uniform(0.05, 0.5) * size * np.clip(taper, 0.2, 2.0) - np.abs(across)
    y, x = across, along - size * rng.uniform(0.3, 1.4)
    if shape == "polygon":
        sides = int(rng.integers(3, 7))
        angles = 2.0 * np.pi * (np.arange(sides) + rng.uniform(-0.3, 0.3, sides)) / sides
        far = size * rng.uniform(0.4, 1.2, sides)
        return np.min([d - np.cos(a) * x - np.sin(a) * y for a, d in zip(angles, far, strict=True)], axis=0)
    angle, radius = np.arctan2(y, x), np.float32(1.0)
    for harmonic in range(2, 9):
        radius = radius + rng.normal(0.0, 0.5 / harmonic) * np.cos(harmonic * angle + rng.uniform(0.0, 2.0 * np.pi))
    return size * np.maximum(radius, 0.15) - np.hypot(y, x)


def _draw_leaves(size: float, height: int, width: int, rng: np.random.Generator, fine: bool) -> np.ndarray:
    """Draw clouds of leaves as a field of distances."""
    noise = draw_smooth_noise(rng, height, width, scale=size)
    level, scale = rng.uniform(-0.3, 1.2), size
    if fine:
        scale = draw_log(rng, 3.0, 16.0)
        weight = rng.uniform(0.4, 1.5)
        noise = noise + weight * draw_smooth_noise(rng, height, width, scale)
        scale /= weight
    return (noise - level) * np.float32(scale)

"""Drops on a pane between the camera and a scene in focus: blurred, lens-like and mostly bright (Qian et al. 2018)."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from .base import Degraded, draw_log, find_inner, find_visible, from_linear, to_linear

LARGEST = 60.0
"""Radius of the largest drop, pixels."""

REACH = 1.9
"""No drop covers anything farther than this many times its radius plus that of its blur from its middle:
1.3 * (1 + 0.2 + 0.2 / 1.5 + 0.2 / 2), by the ranges of `Lenses.stretch` and `Lenses.outline`."""


@dataclasses.dataclass(frozen=True)
class Drops:
    """The water on one pane; lengths in pixels of a 720x480 picture."""

    density: float
    """Share of the pane under water (where drops overlap, both count), 0..1."""
    radius: float
    """Median radius of a drop."""
    spread: float
    """Standard deviation of the logarithm of the radius."""
    defocus: float
    """Radius of the disc to which the camera, focused on the scene, blurs a point of the pane."""
    irregular: float
    """How far an outline leaves the ellipse, as a share of the radius, 0..0.5."""
    minify: float
    """How many times smaller (and upside down) the scene appears in a drop."""
    sky: tuple[float, float, float]
    """Linear RGB 0..1 of the light from above, which comes in at the lower edge of a drop."""
    glow: float
    """Mean share of that light in the part of a drop that shows it, 0..1."""
    rim: float
    """How much darker the outline of a drop is, 0..1."""
    opacity: float
    """Share of the scene behind that a drop hides, 0..1."""

    def __post_init__(self) -> None:
        if not (0 <= self.density <= 1 and 0 < self.radius <= LARGEST and 0 <= self.spread <= 1.5):
            raise ValueError(f"{self}: density must lie in 0..1, radius in 0..{LARGEST:g} and spread in 0..1.5")
        if not (0 <= self.defocus <= LARGEST and 0 <= self.irregular <= 0.5 and self.minify >= 1):
            raise ValueError(f"{self}: defocus must lie in 0..{LARGEST:g}, irregular in 0..0.5, minify be >= 1")
        if not all(0 <= share <= 1 for share in (self.glow, self.rim, self.opacity, *self.sky)):
            raise ValueError(f"{self}: glow, rim, opacity and sky must lie in 0..1")

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Drops:
        """Random water: from a few specks to a wet pane; more often than not the pane is near to the lens.

        Of a near pane the drops are wide soft veils that hide the scene in part (four of eight pictures of Qian et al.
        show such), of a far one nearly sharp. The light that a crop's drops show comes from all of a scene, not from
        the crop: hence the wide range of `sky`, of which veils show much.
        """
        near = rng.random() < 0.6
        defocus = draw_log(rng, 12.0, 45.0) if near else draw_log(rng, 1.5, 14.0)
        light, blue = rng.uniform(0.2, 1.0), rng.uniform(0.0, 0.2)
        wet = draw_log(rng, 0.1, 0.9) if near else draw_log(rng, 0.05, 0.5)
        return cls(
            density=draw_log(rng, 0.0005, 0.01) if rng.random() < 0.1 else wet,
            radius=float(np.clip(defocus * draw_log(rng, 0.5, 2.0 if near else 3.0), 3.0, 40.0)),
            spread=rng.uniform(0.2, 0.7),
            defocus=defocus,
            irregular=rng.uniform(0.05, 0.35),
            minify=rng.uniform(2.0, 6.0),
            sky=(light * (1 - blue), light * (1 - blue / 3), light),
            glow=rng.uniform(0.3, 1.0) if near else rng.uniform(0.15, 0.9),
            rim=rng.uniform(0.0, 0.7),
            opacity=rng.uniform(0.6, 1.0),
        )


class Lenses(NamedTuple):
    """The drops that reach into a picture, one entry each."""

    y: np.ndarray
    x: np.ndarray
    radius: np.ndarray
    stretch: np.ndarray
    """Height over width of the outline."""
    glow: np.ndarray
    """Brightness of the sky in it, 0..2."""
    horizon: np.ndarray
    """How far below its middle, in radii, the picture of the sky begins."""
    bend: np.ndarray
    """How far that horizon rises towards the sides, in radii."""
    outline: np.ndarray
    """[n, 3] complex: the harmonics 2, 3 and 4 of the outline, as shares of the radius."""

    def take(self, chosen: np.ndarray) -> Lenses:
        """Some of them, by number or mask."""
        return Lenses(*(field[chosen] for field in self))


def simulate_drops(image: np.ndarray, rng: np.random.Generator, margin: int = 0) -> Degraded:
    """`add_drops` with drawn water."""
    return add_drops(image, Drops.draw(rng), rng, margin)


def add_drops(image: np.ndarray, drops: Drops, rng: np.random.Generator, margin: int = 0) -> Degraded:
    """Put drops on the pane in front of a picture.

    The light of a pixel is scene * (1 - alpha) + water * alpha. A drop of radius r that is blurred to discs of radius
    c fills its surroundings to r + c, at full strength to |r - c|, and at most min(1, (r/c)^2) strong.

    Args:
        image: HxWx3 float32 RGB 0..1.
        drops: what water.
        rng: where and of what shape the drops are; the same state gives the same bytes.
        margin: pixels on every side that drops show, but that are left out of the result.

    Returns:
        The picture, unchanged where no drop reaches, and where the change is visible.
    """
    height, width = image.shape[:2]
    inner = find_inner(image, margin)
    lenses = _scatter(drops, height, width, rng)
    if not len(lenses.y):
        return Degraded(image[inner].astype(np.float32), np.zeros(image[inner].shape[:2], bool))
    linear = to_linear(image)
    alpha, water = _render(linear, drops, lenses, margin)
    linear, image = linear[inner], image[inner]
    mixed = linear + alpha[..., None] * (water - linear)
    wet = np.where(alpha[..., None] > 0, np.clip(from_linear(mixed), 0.0, 1.0), image).astype(np.float32)
    return Degraded(wet, find_visible(wet, image))


def _scatter(drops: Drops, height: int, width: int, rng: np.random.Generator) -> Lenses:
    largest = min(LARGEST, drops.radius * np.exp(2.5 * drops.spread))
    reach = REACH * (largest + _soften(drops.defocus))
    mean_area = np.pi * drops.radius**2 * np.exp(2.0 * drops.spread**2)
    count = int(rng.poisson(drops.density * (height + 2 * reach) * (width + 2 * reach) / mean_area))
    radius = np.minimum(drops.radius * np.exp(rng.normal(0.0, drops.spread, count)), largest)
    crisp = np.minimum(1.0, radius / max(drops.defocus, 0.5))  # blurred, every outline is round
    sizes = rng.normal(0.0, drops.irregular / 2.0, (count, 3)).clip(-0.2, 0.2) / np.array([1.0, 1.5, 2.0])
    lenses = Lenses(
        y=rng.uniform(-reach, height + reach, count),
        x=rng.uniform(-reach, width + reach, count),
        radius=radius.astype(np.float32),
        stretch=rng.uniform(0.95, 1.3, count).astype(np.float32),
        glow=rng.uniform(0.0, 2.0, count).astype(np.float32),
        horizon=rng.normal(0.1, 0.3, count).astype(np.float32),
        bend=rng.normal(0.2, 0.3, count).astype(np.float32),
        outline=(crisp[:, None] * sizes * np.exp(2j * np.pi * rng.random((count, 3)))).astype(np.complex64),
    )
    wide, tall = _reach(lenses, drops.defocus)
    inside = (np.abs(lenses.y - height / 2) < tall + height / 2) & (np.abs(lenses.x - width / 2) < wide + width / 2)
    return lenses.take(inside)


def _render(linear: np.ndarray, drops: Drops, lenses: Lenses, margin: int) -> tuple[np.ndarray, np.ndarray]:
    """Alpha and colour (linear) of the water inside the margin: all pixels of all drops at once, in any order."""
    height, width = linear.shape[:2]
    which, y, x = _cover(lenses, drops.defocus, height, width, margin)
    down, right = (y - lenses.y[which]).astype(np.float32), (x - lenses.x[which]).astype(np.float32)
    far = (down / lenses.stretch[which]) ** 2 + right**2
    keep = np.flatnonzero(far < (_reach(lenses, drops.defocus)[0] ** 2)[which])  # a cheap test leaves out most corners
    which, y, x, down, right = (a[keep] for a in (which, y, x, down, right))
    radius = lenses.radius[which]
    place = _measure(lenses, which, down, right)
    alpha = drops.opacity * _profile(place * radius, radius, drops.defocus)
    keep = np.flatnonzero(alpha > 2e-3)
    which, y, x, alpha, place, down, right = (a[keep] for a in (which, y, x, alpha, place, down, right))
    near = lenses.take(which)
    colour = _colour(linear, drops, near, place, down, right)
    height, width = height - 2 * margin, width - 2 * margin
    return _stack((y - margin) * width + x - margin, alpha, colour, height, width)


def _colour(
    linear: np.ndarray, drops: Drops, near: Lenses, place: np.ndarray, down: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """[n, 3] linear: the scene above, the sky below the horizon in a drop, both in a dark rim."""
    visible = near.radius + drops.defocus
    soft = np.minimum(1.5, 0.2 + drops.defocus / near.radius)
    low = down / visible - near.horizon + near.bend * (right / visible) ** 2
    share = (np.clip(drops.glow * near.glow, 0.0, 1.0) * np.clip(0.5 + low / soft, 0.0, 1.0))[:, None]
    sky = np.asarray(drops.sky, np.float32)
    sky = sky * max(
        1.0, 0.8 * float(np.quantile(linear[::4, ::4], 0.95)) / max(float(sky.max()), 1e-3)
    )  # not below the scene's
    dark = 1.0 - drops.rim * np.exp(-(((place - 1.0) / soft) ** 2))
    return (_look(linear, drops, near, down, right) * (1.0 - share) * dark[:, None] + sky * share).astype(np.float32)


def _cover(
    lenses: Lenses, defocus: float, height: int, width: int, margin: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each pixel of each drop's box inside the margin: the drop's number, row, column."""
    wide, tall = _reach(lenses, defocus)
    top, left = (np.maximum(margin, np.floor(c - h)).astype(np.int64) for c, h in ((lenses.y, tall), (lenses.x, wide)))
    rows = np.minimum(height - margin, np.ceil(lenses.y + tall + 1).astype(np.int64)) - top
    columns = np.minimum(width - margin, np.ceil(lenses.x + wide + 1).astype(np.int64)) - left
    area = np.maximum(rows, 0) * np.maximum(columns, 0)
    which = np.repeat(np.arange(len(area)), area)
    place = np.arange(len(which)) - np.repeat(np.cumsum(area) - area, area)
    return which, top[which] + place // columns[which], left[which] + place % columns[which]


def _reach(lenses: Lenses, defocus: float) -> tuple[np.ndarray, np.ndarray]:
    """[n] float32 twice: how far to the side, and up or down, something of a drop may be."""
    wide = (1.0 + np.abs(lenses.outline).sum(axis=1)) * (lenses.radius + _soften(defocus))
    return wide, wide * lenses.stretch


def _soften(defocus: float) -> float:
    """The radius of the blur that is drawn: a pixel is no point."""
    return max(defocus, 0.5)


def _measure(lenses: Lenses, which: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Distance from the drop's middle in units of its outline: below 1 inside."""
    distance = np.hypot(down / lenses.stretch[which], right)
    z = (right + 1j * down) / np.maximum(np.abs(right + 1j * down), np.float32(1e-6))
    second, third, fourth = lenses.outline.T[:, which]
    outline = 1.0 + (z * z * (second + z * (third + z * fourth))).real
    return distance / (lenses.radius[which] * outline)


def _profile(distance: np.ndarray, radius: np.ndarray, defocus: float) -> np.ndarray:
    """Share of the disc of radius `defocus` around a point that a drop covers, by the distance of their middles."""
    soft = _soften(defocus)
    small = np.minimum(radius, soft)
    t = np.clip((radius + soft - distance) / (2.0 * small), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t) * np.minimum(1.0, (radius / soft) ** 2)


def _look(linear: np.ndarray, drops: Drops, near: Lenses, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """[n, 3]: the scene through the drops, upside down and minified; the defocus of the pane blurs it once more."""
    sigma = max(0.5, drops.minify * drops.defocus / 2.0)
    step = int(np.clip(sigma / 2.0, 1, 16))
    small = gaussian_filter(_shrink(linear, step), (sigma / step, sigma / step, 0.0), mode="reflect")
    height, width = linear.shape[:2]
    y = _fold(near.y - drops.minify * down, height) / step
    x = _fold(near.x - drops.minify * right, width) / step
    channels = [map_coordinates(small[..., c], (y, x), order=1, mode="nearest") for c in range(3)]
    return np.stack(channels, axis=1)


def _shrink(image: np.ndarray, step: int) -> np.ndarray:
    height, width = image.shape[:2]
    if step == 1:
        return image
    padded = np.pad(image, ((0, -height % step), (0, -width % step), (0, 0)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step, 3)
    return blocks.mean((1, 3))


def _fold(place: np.ndarray, size: int) -> np.ndarray:
    """Reflect coordinates into 0..size-1."""
    period = max(1, 2 * (size - 1))
    folded = np.mod(place, period)
    return np.minimum(np.minimum(folded, period - folded), size - 1)


def _stack(
    pixel: np.ndarray, alpha: np.ndarray, colour: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    size = height * width
    through = np.bincount(pixel, np.log1p(-np.minimum(alpha, 0.999)), size)
    total = np.maximum(np.bincount(pixel, alpha, size), 1e-6)
    water = np.stack([np.bincount(pixel, alpha * colour[:, c], size) / total for c in range(3)], axis=1)
    covered = (1.0 - np.exp(through)).reshape(height, width)
    return covered.astype(np.float32), water.reshape(height, width, 3).astype(np.float32)

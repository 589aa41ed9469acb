"""Drops on a pane between the camera and the scene.

The scene is in focus and the pane is not, so drops are blurred, act as lenses and are mostly bright (Qian et al. 2018).
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from .base import Degraded, draw_log, find_inner, find_visible, from_linear, to_linear

LARGEST = 60.0
"""Radius of the largest drop in pixels."""

REACH = 1.9
"""Largest distance between a drop's middle and anything it covers, in sums of its radius and the radius of its blur.

The ranges of `Lenses.stretch` and `Lenses.outline` give 1.3 * (1 + 0.2 + 0.2 / 1.5 + 0.2 / 2).
"""


@dataclasses.dataclass(frozen=True)
class Drops:
    """Water on one pane.

    Lengths are in pixels of a 720x480 picture.
    """

    density: float
    """Share of the pane under water, 0..1; where drops overlap, each is counted."""
    radius: float
    """Median radius of a drop in pixels."""
    spread: float
    """Standard deviation of the logarithm of the radius."""
    defocus: float
    """Radius in pixels of the disc to which the camera, focused on the scene, blurs a point of the pane."""
    irregular: float
    """Deviation of an outline from an ellipse, as a share of the radius, 0..0.5."""
    minify: float
    """Factor by which the scene appears smaller in a drop, where it also stands upside down."""
    sky: tuple[float, float, float]
    """Linear RGB 0..1 of the light from above, which a drop shows at its lower edge."""
    glow: float
    """Mean share of that light in the part of a drop that shows it, 0..1."""
    rim: float
    """Share of light that is missing at the outline of a drop, 0..1."""
    opacity: float
    """Share of the scene behind a drop that the drop hides, 0..1."""

    def __post_init__(self) -> None:
        if not (0 <= self.density <= 1 and 0 < self.radius <= LARGEST and 0 <= self.spread <= 1.5):
            raise ValueError(f"{self}: density must lie in 0..1, radius in 0..{LARGEST:g} and spread in 0..1.5")
        if not (0 <= self.defocus <= LARGEST and 0 <= self.irregular <= 0.5 and self.minify >= 1):
            raise ValueError(f"{self}: defocus must lie in 0..{LARGEST:g}, irregular in 0..0.5, minify be >= 1")
        if not all(0 <= share <= 1 for share in (self.glow, self.rim, self.opacity, *self.sky)):
            raise ValueError(f"{self}: glow, rim, opacity and sky must lie in 0..1")

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Drops:
        """Draw random water on a pane.

        It ranges from a few specks to a wet pane. The pane is near to the lens in 60 % of the draws. Drops on a near
        pane are wide soft veils that hide the scene in part; four of eight pictures of Qian et al. show such veils.
        Drops on a far pane are nearly sharp. The light that drops show comes from the whole scene and not only from the
        crop. That is why the range of `sky`, of which veils show much, is wide.
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
    """Drops that reach into a picture.

    Each array has one entry for each drop.
    """

    y: np.ndarray
    """Row of the middle in pixels."""
    x: np.ndarray
    """Column of the middle in pixels."""
    radius: np.ndarray
    """Radius in pixels."""
    stretch: np.ndarray
    """Ratio of the outline's height to its width."""
    glow: np.ndarray
    """Brightness of the sky in the drop, 0..2."""
    horizon: np.ndarray
    """Distance in radii from the drop's middle down to where its image of the sky begins."""
    bend: np.ndarray
    """Height in radii by which that horizon rises towards the sides."""
    outline: np.ndarray
    """[n, 3] complex: harmonics 2, 3 and 4 of the outline, as shares of the radius."""

    def take(self, chosen: np.ndarray) -> Lenses:
        """Select drops by number or by mask."""
        return Lenses(*(field[chosen] for field in self))


def simulate_drops(image: np.ndarray, rng: np.random.Generator, margin: int = 0) -> Degraded:
    """Put random drops in front of a picture."""
    return add_drops(image, Drops.draw(rng), rng, margin)


def add_drops(image: np.ndarray, drops: Drops, rng: np.random.Generator, margin: int = 0) -> Degraded:
    """Put drops on the pane in front of a picture.

    The light of a pixel is scene * (1 - alpha) + water * alpha. The blur turns a point into a disc of radius c. A drop
    of radius r then covers its surroundings out to r + c. It has its full strength up to |r - c|, and that strength is
    at most min(1, (r/c)^2).

    Args:
        image: HxWx3 float32 RGB 0..1.
        drops: the water.
        rng: source of the drops' places and shapes; the same state gives the same bytes.
        margin: pixels on every side that drops can show but that the result does not contain.

    Returns:
        The picture, unchanged where no drop reaches, and the mask of visible changes.
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
    """Draw the drops that reach into a picture."""
    largest = min(LARGEST, drops.radius * np.exp(2.5 * drops.spread))
    reach = REACH * (largest + _soften(drops.defocus))
    mean_area = np.pi * drops.radius**2 * np.exp(2.0 * drops.spread**2)
    count = int(rng.poisson(drops.density * (height + 2 * reach) * (width + 2 * reach) / mean_area))
    radius = np.minimum(drops.radius * np.exp(rng.normal(0.0, drops.spread, count)), largest)
    crisp = np.minimum(1.0, radius / max(drops.defocus, 0.5))  # a blurred outline is round
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
    """Compute alpha and colour of the water inside the margin.

    The colour is linear. All pixels of all drops are computed at once, in no particular order.
    """
    height, width = linear.shape[:2]
    which, y, x = _cover(lenses, drops.defocus, height, width, margin)
    down, right = (y - lenses.y[which]).astype(np.float32), (x - lenses.x[which]).astype(np.float32)
    far = (down / lenses.stretch[which]) ** 2 + right**2
    # a cheap test first: it leaves out most corners of the boxes
    keep = np.flatnonzero(far < (_reach(lenses, drops.defocus)[0] ** 2)[which])
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
    """Compute the colour of the water in pixels of drops.

    A drop shows the scene above its horizon and the sky below it. A dark rim surrounds both.

    Returns:
        [n, 3] linear RGB.
    """
    visible = near.radius + drops.defocus
    soft = np.minimum(1.5, 0.2 + drops.defocus / near.radius)
    low = down / visible - near.horizon + near.bend * (right / visible) ** 2
    share = (np.clip(drops.glow * near.glow, 0.0, 1.0) * np.clip(0.5 + low / soft, 0.0, 1.0))[:, None]
    sky = np.asarray(drops.sky, np.float32)
    brightest = 0.8 * float(np.quantile(linear[::4, ::4], 0.95))
    sky = sky * max(1.0, brightest / max(float(sky.max()), 1e-3))  # the sky is never darker than the scene
    dark = 1.0 - drops.rim * np.exp(-(((place - 1.0) / soft) ** 2))
    return (_look(linear, drops, near, down, right) * (1.0 - share) * dark[:, None] + sky * share).astype(np.float32)


def _cover(
    lenses: Lenses, defocus: float, height: int, width: int, margin: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """List the pixels of each drop's box inside the margin.

    Returns:
        For each pixel the drop's number, the row and the column.
    """
    wide, tall = _reach(lenses, defocus)
    top, left = (np.maximum(margin, np.floor(c - h)).astype(np.int64) for c, h in ((lenses.y, tall), (lenses.x, wide)))
    rows = np.minimum(height - margin, np.ceil(lenses.y + tall + 1).astype(np.int64)) - top
    columns = np.minimum(width - margin, np.ceil(lenses.x + wide + 1).astype(np.int64)) - left
    area = np.maximum(rows, 0) * np.maximum(columns, 0)
    which = np.repeat(np.arange(len(area)), area)
    place = np.arange(len(which)) - np.repeat(np.cumsum(area) - area, area)
    return which, top[which] + place // columns[which], left[which] + place % columns[which]


def _reach(lenses: Lenses, defocus: float) -> tuple[np.ndarray, np.ndarray]:
    """Bound the distance that each drop reaches from its middle.

    Returns:
        [n] float32 twice: pixels to the side, and pixels up or down.
    """
    wide = (1.0 + np.abs(lenses.outline).sum(axis=1)) * (lenses.radius + _soften(defocus))
    return wide, wide * lenses.stretch


def _soften(defocus: float) -> float:
    """Return the radius of the drawn blur in pixels.

    It is at least half a pixel, because a pixel is not a point.
    """
    return max(defocus, 0.5)


def _measure(lenses: Lenses, which: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Measure the distance from the drop's middle to each pixel.

    The unit is the drop's outline in that direction: values below 1 lie inside.
    """
    distance = np.hypot(down / lenses.stretch[which], right)
    z = (right + 1j * down) / np.maximum(np.abs(right + 1j * down), np.float32(1e-6))
    second, third, fourth = lenses.outline.T[:, which]
    outline = 1.0 + (z * z * (second + z * (third + z * fourth))).real
    return distance / (lenses.radius[which] * outline)


def _profile(distance: np.ndarray, radius: np.ndarray, defocus: float) -> np.ndarray:
    """Compute the strength of a blurred drop in each pixel.

    It is the share of the pixel's blur disc that the drop covers.

    Args:
        distance: pixels between the middles of the disc and the drop.
        radius: radius of the drop in pixels.
        defocus: radius of the disc in pixels.
    """
    soft = _soften(defocus)
    small = np.minimum(radius, soft)
    t = np.clip((radius + soft - distance) / (2.0 * small), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t) * np.minimum(1.0, (radius / soft) ** 2)


def _look(linear: np.ndarray, drops: Drops, near: Lenses, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Look at the scene through the drops.

    They show it upside down and smaller, and the defocus of the pane blurs it once more.

    Returns:
        [n, 3] linear RGB.
    """
    sigma = max(0.5, drops.minify * drops.defocus / 2.0)
    step = int(np.clip(sigma / 2.0, 1, 16))
    small = gaussian_filter(_shrink(linear, step), (sigma / step, sigma / step, 0.0), mode="reflect")
    height, width = linear.shape[:2]
    y = _fold(near.y - drops.minify * down, height) / step
    x = _fold(near.x - drops.minify * right, width) / step
    channels = [map_coordinates(small[..., c], (y, x), order=1, mode="nearest") for c in range(3)]
    return np.stack(channels, axis=1)


def _shrink(image: np.ndarray, step: int) -> np.ndarray:
    """Average blocks of step x step pixels."""
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
    """Combine the drops of each pixel.

    Returns:
        The share of the pixel that water covers, [H, W] float32, and the mean colour of the water, [H, W, 3] float32
            linear.
    """
    size = height * width
    through = np.bincount(pixel, np.log1p(-np.minimum(alpha, 0.999)), size)
    total = np.maximum(np.bincount(pixel, alpha, size), 1e-6)
    water = np.stack([np.bincount(pixel, alpha * colour[:, c], size) / total for c in range(3)], axis=1)
    covered = (1.0 - np.exp(through)).reshape(height, width)
    return covered.astype(np.float32), water.reshape(height, width, 3).astype(np.float32)

"""Motion blur from a shaking camera and from moving objects.

A blurred picture is the mean of the light along the paths of its points. The pairs of GoPro (Nah et al. 2017) are means
of 7 to 13 frames, and the middle frame is the clean picture. Here a path is continuous. Its kernel varies slowly over
the picture: kernels are computed on a grid of nodes and blended between them (Hirsch et al. 2010).
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from .base import Degraded, draw_log, draw_smooth_noise, find_inner, find_visible, spline_weights

CONTEXT = 32
"""Pixels around a crop from which light can come in."""

NODES = 128
"""Pixels between two nodes of the grid of kernels."""

ALIKE = 2.0
"""Pixels by which the paths of a picture's corner and middle must differ before one kernel no longer serves all."""

Track = np.ndarray
"""[n, 2] float64: pixels down and right at n times of the exposure; 0 in the middle of the exposure."""


class Part(NamedTuple):
    """Rows top..bottom and columns left..right of a picture.

    The ends are not included.
    """

    top: int
    bottom: int
    left: int
    right: int


@dataclasses.dataclass(frozen=True)
class Blur:
    """Motion during one exposure.

    Lengths are in pixels of a 1280x720 picture.
    """

    length: float
    """Pixels by which the camera moves the picture."""
    direction: float
    """Direction of that movement in degrees from rightwards, positive downwards."""
    shake: float
    """Variation of speed and direction, 0..1: 0 is a straight line at constant speed, 1 a tremble."""
    rotation: float
    """Degrees by which the camera turns about its axis."""
    zoom: float
    """Growth of the scene from beginning to end, as a share of its size."""
    centre: tuple[float, float]
    """Pixels down and right from the middle of the picture to the centre of rotation and zoom."""
    objects: tuple[float, ...] = ()
    """Pixels that each independently moving object moves, one entry for each object."""
    gamma: float = 1.0
    """Power of the values of which the mean is taken.

    It is 1 as in GoPro's `blur`, or 2.2, which is close to linear light, as in its `blur_gamma`.
    """

    def __post_init__(self) -> None:
        if min((self.length, *self.objects)) < 0 or not 0 <= self.shake <= 1:
            raise ValueError(f"{self}: length and objects must be >= 0 and shake in 0..1")
        if not (abs(self.rotation) <= 10 and abs(self.zoom) <= 0.5 and 1 <= self.gamma <= 3):
            raise ValueError(f"{self}: rotation must lie in -10..10, zoom in -0.5..0.5 and gamma in 1..3")

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Blur:
        """Draw a random exposure.

        The camera is nearly still or moves by 3 to 30 pixels. In some pictures objects move independently.
        """
        still = rng.random() < 0.15
        moving = 0 if rng.random() < 0.6 else int(rng.integers(1, 3))
        return cls(
            length=max(0.0, rng.uniform(-0.5, 1.0)) if still else draw_log(rng, 3.0, 30.0),
            direction=rng.uniform(0.0, 360.0),
            shake=rng.uniform(0.0, 1.0) ** 2,
            rotation=0.0 if still else rng.normal(0.0, 0.5),
            zoom=0.0 if still else rng.normal(0.0, 0.006),
            centre=(rng.uniform(-360.0, 360.0), rng.uniform(-640.0, 640.0)),
            objects=tuple(draw_log(rng, 3.0, 40.0) for _ in range(moving)),
            gamma=1.0 if rng.random() < 0.7 else 2.2,
        )


def simulate_blur(image: np.ndarray, rng: np.random.Generator, margin: int = 0) -> Degraded:
    """Add the blur of a random exposure to a picture."""
    return add_blur(image, Blur.draw(rng), rng, margin)


def add_blur(image: np.ndarray, blur: Blur, rng: np.random.Generator, margin: int = 0) -> Degraded:
    """Expose a picture while the camera and some objects move.

    In the middle of the exposure nothing is displaced, so the input is the target.

    Args:
        image: HxWx3 float32 RGB 0..1; beyond its edges it continues as its mirror image.
        blur: motion of camera and objects.
        rng: source of the tremble, and of place and shape of the moving objects; the same state gives the same bytes.
        margin: pixels on every side that serve as context only; the result does not contain them.

    Returns:
        The blurred picture, and the mask of visible blur.
    """
    light = image.astype(np.float32) ** np.float32(blur.gamma)
    inner = rows, columns = find_inner(image, margin)
    part = Part(rows.start, rows.stop, columns.start, columns.stop)
    track = draw_track(blur.length, blur.direction, blur.shake, rng)
    moved = _blur_nodes(light, blur, track, part)
    for length in blur.objects:
        own = draw_track(length, rng.uniform(0.0, 360.0), blur.shake, rng)
        moved = _move_object(light, moved, own, rng, part)
    blurred = np.clip(moved, 0.0, 1.0) ** np.float32(1.0 / blur.gamma)
    light, image = light[inner], image[inner]
    blurred = np.where(moved == light, image, blurred).astype(np.float32)
    return Degraded(blurred, find_visible(blurred, image))


def draw_track(length: float, direction: float, shake: float, rng: np.random.Generator) -> Track:
    """Draw a path of the given length in pixels.

    The path is sampled at least four times per pixel.
    """
    count = 2 * max(1, int(np.ceil(2 * length))) + 1  # odd, so that one sample lies in the middle
    angle = np.deg2rad(direction)
    speed = np.repeat([[np.sin(angle), np.cos(angle)]], count, axis=0)
    if shake:
        weights = spline_weights(count, max(1.0, count / 4.0), rng.random())
        speed = speed + 2.0 * shake * weights @ rng.standard_normal((weights.shape[1], 2))
    steps = (speed[1:] + speed[:-1]) / 2.0
    total = np.hypot(steps[:, 0], steps[:, 1]).sum()
    track = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)]) * (length / total if total else 0.0)
    return track - track[count // 2]


def track_kernel(track: Track) -> np.ndarray:
    """Compute the blur kernel of a path.

    Returns:
        Square float32 kernel with an odd side that sums to 1. An entry is the time that the path spends in that pixel,
        shared out bilinearly.
    """
    half = int(np.ceil(np.abs(track).max(initial=0.0))) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    times = np.full(len(track), 1.0)
    times[[0, -1]] = 0.5  # the trapezoidal rule
    floor = np.floor(track).astype(np.int64)
    down, right = (track - floor).T
    rows, columns = (floor + half).T
    for dy, wy in ((0, 1.0 - down), (1, down)):
        for dx, wx in ((0, 1.0 - right), (1, right)):
            np.add.at(kernel, (rows + dy, columns + dx), wy * wx * times)
    return (kernel / times.sum()).astype(np.float32)


def convolve_sparse(picture: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve a picture with a kernel that is mostly zero.

    Each entry that is not 0 costs one addition of the picture. The kernel of a path has few of them, so this is faster
    than a Fourier transform.

    Args:
        picture: (H + 2h)x(W + 2h)xC float32.
        kernel: (2h+1)x(2h+1).

    Returns:
        HxWxC float32.
    """
    half = len(kernel) // 2
    height, width = picture.shape[0] - 2 * half, picture.shape[1] - 2 * half
    total = np.zeros((height, width, picture.shape[2]), np.float32)
    product = np.empty_like(total)
    for down, right in np.argwhere(kernel):
        top, left = 2 * half - down, 2 * half - right
        total += np.multiply(picture[top : top + height, left : left + width], kernel[down, right], out=product)
    return total


def _blur_nodes(light: np.ndarray, blur: Blur, track: Track, part: Part) -> np.ndarray:
    """Blur a part of a picture with slowly varying kernels."""
    height, width = light.shape[:2]
    time = np.linspace(-0.5, 0.5, len(track))[:, None]

    def find_kernel(y: float, x: float) -> np.ndarray:
        arm = np.array([y - height / 2 - blur.centre[0], x - width / 2 - blur.centre[1]])
        turn = np.deg2rad(blur.rotation) * np.array([arm[1], -arm[0]])
        return track_kernel(_refine(track, time * (turn + blur.zoom * arm)))

    # pixels by which the paths of corner and middle differ
    change = np.hypot(np.deg2rad(blur.rotation), blur.zoom) * np.hypot(height, width) / 2
    if change < ALIKE:
        return _convolve(light, find_kernel(height / 2, width / 2), part)
    total = np.zeros((part.bottom - part.top, part.right - part.left, 3), np.float32)
    for top, bottom, y, weight_y in _hats(height, part.top, part.bottom):
        for left, right, x, weight_x in _hats(width, part.left, part.right):
            piece = _convolve(light, find_kernel(y, x), Part(top, bottom, left, right))
            rows, columns = slice(top - part.top, bottom - part.top), slice(left - part.left, right - part.left)
            total[rows, columns] += weight_y[:, None, None] * weight_x[None, :, None] * piece
    return total


def _refine(track: Track, added: Track) -> Track:
    """Add two motions, sampled densely enough for the longer one."""
    both = track + added
    needed = 2 * int(np.ceil(2 * np.hypot(*np.abs(np.diff(both, axis=0)).sum(axis=0)))) + 1
    if needed <= len(both):
        return both
    old, new = np.linspace(0.0, 1.0, len(both)), np.linspace(0.0, 1.0, needed)
    return np.stack([np.interp(new, old, both[:, axis]) for axis in range(2)], axis=1)


def _hats(size: int, first: int, last: int) -> list[tuple[int, int, float, np.ndarray]]:
    """Cut an axis into overlapping pieces with linear weights.

    Returns:
        For each node (start, stop, node, weights), cut to first..last; the weights of a pixel sum to 1.
    """
    count = max(2, int(np.ceil(size / NODES)) + 1)
    nodes = np.linspace(0.0, size - 1.0, count) if size > 1 else np.zeros(1)
    if len(nodes) == 1:
        return [(0, 1, 0.0, np.ones(1, np.float32))]
    step = nodes[1]
    hats = []
    for node in nodes:
        start, stop = max(first, int(np.ceil(node - step))), min(last, int(np.floor(node + step)) + 1)
        if start >= stop:
            continue
        weights = np.clip(1.0 - np.abs(np.arange(start, stop) - node) / step, 0.0, 1.0)
        hats.append((start, stop, float(node), weights.astype(np.float32)))
    return hats


def _convolve(light: np.ndarray, kernel: np.ndarray, part: Part) -> np.ndarray:
    """Convolve a part of a picture, mirrored at its edges."""
    half = len(kernel) // 2
    rows = _mirror(np.arange(part.top - half, part.bottom + half), light.shape[0])
    columns = _mirror(np.arange(part.left - half, part.right + half), light.shape[1])
    # two steps: four times as fast as indexing both axes at once
    return convolve_sparse(light[rows].take(columns, axis=1), kernel)


def _mirror(index: np.ndarray, size: int) -> np.ndarray:
    """Reflect positions outside 0..size-1; the edge pixel appears twice."""
    index = index % (2 * size)
    return np.minimum(index, 2 * size - 1 - index)


def _move_object(
    light: np.ndarray, moved: np.ndarray, track: Track, rng: np.random.Generator, part: Part
) -> np.ndarray:
    """Move a soft-edged piece in front of the picture.

    The piece and its matte are blurred along the same path, then laid over the blurred picture (alpha matting).
    """
    height, width = light.shape[:2]
    noise = draw_smooth_noise(rng, height, width, scale=draw_log(rng, 40.0, 160.0))
    matte = np.clip(0.5 + 8.0 * (noise - rng.uniform(0.0, 1.0)), 0.0, 1.0)[..., None]
    layer = _convolve(np.concatenate([light * matte, matte], axis=2), track_kernel(track), part)
    return layer[..., :3] + (1.0 - layer[..., 3:]) * moved

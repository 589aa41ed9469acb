"""Pictures and picture files for the client suite."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.serving.clients.targets import Target

SIZES = [(1, 1), (7, 5), (61, 83)]
"""Heights and widths; none is a multiple of what the network works on."""


def make_picture(size: tuple[int, int], seed: int = 0, channels: int = 3) -> np.ndarray:
    """Make a picture [H, W, C] of slopes with noise on the right half."""
    height, width = size
    chance = np.random.default_rng(seed)
    slope = np.linspace(40, 200, height * width * channels).reshape(height, width, channels)
    noise = chance.integers(-40, 40, slope.shape) * (np.arange(width) >= width // 2)[None, :, None]
    return np.clip(slope + noise, 0, 255).astype(np.uint8)


def stack(*pictures: np.ndarray) -> np.ndarray:
    """Stack pictures [H, W, 3] as a tensor [N, 3, H, W]."""
    return np.stack([one.transpose(2, 0, 1) for one in pictures])


def list_candidates(size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yield flat and noisy pictures."""
    for level in (0, 255, 128, 32, 64, 96, 160, 192, 224):
        yield np.full((*size, 3), level, np.uint8)
    for channel in range(3):
        flat = np.zeros((*size, 3), np.uint8)
        flat[..., channel] = 255
        yield flat
        yield 255 - flat
    for seed in range(20):
        yield np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def find_with_density(target: Target, density: float) -> np.ndarray:
    """Find a picture whose mask is empty or full, the largest that there is among some."""
    for size in [(40, 24), (16, 16), (7, 5), (1, 1)]:
        for picture in list_candidates(size):
            if target.reference(picture)[2] == density:
                return picture
    raise AssertionError(f"no picture has the density {density}")

"""Inputs on which graphs are compared with PyTorch.

They are pictures, masks of given densities, and tensors for the other inputs of a graph.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from ..graphs import GraphSpec

SIZES = ((1, 1), (7, 13), (8, 8), (37, 50), (64, 96))
"""Heights and widths in pixels for graphs that take any size. Some are tiny, some odd, some exact multiples."""
MULTIPLES = ((1, 1), (2, 5), (8, 9))
"""Heights and widths in multiples, for graphs that take only multiples."""
STEERED = ((1, 3, 24, 40), (2, 3, 19, 37))
"""Shapes of the pictures on which the whole network is compared at every density."""
DENSITIES: tuple[float | str, ...] = (0.0, "one pixel", 0.02, 0.1, 0.5, 1.0)
"""Shares of distorted pixels, 0..1, or one pixel in every plane."""


def make_picture(shape: tuple[int, int, int, int], seed: int) -> Tensor:
    """Make pictures [N,C,H,W] of smooth colours with bright streaks.

    Values lie in 0..1. A localization network reacts to the streaks.
    """
    batch, channels, height, width = shape
    generator = torch.Generator().manual_seed(1000 + seed)
    coarse = torch.rand(batch, channels, max(1, height // 8), max(1, width // 8), generator=generator)
    smooth = F.interpolate(coarse, size=(height, width), mode="nearest") * 0.6
    streaks = (torch.rand(batch, 1, 1, width, generator=generator) < 0.15).float() * 0.4
    return smooth + streaks * torch.rand(batch, 1, height, 1, generator=generator)


def random_mask(shape: tuple[int, int, int, int], density: float | str, seed: int) -> Tensor:
    """Make random masks [N,C,H,W] of 0 and 1.

    `density` is the share of ones, or "one pixel" for a single 1 in every plane.
    """
    if density == "one pixel":
        mask = torch.zeros(shape)
        mask[:, :, shape[2] // 2, shape[3] // 3] = 1.0
        return mask
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < float(density)).float()


def find_threshold(logits: Tensor, density: float | str) -> float:
    """Find the threshold that a share of logits exceeds.

    `density` is the share, or "one pixel" for a single logit.
    """
    ordered = logits.flatten().sort(descending=True).values
    count = 1 if density == "one pixel" else round(float(density) * len(ordered))
    if count in (0, len(ordered)):
        return float(ordered[0] + 1.0 if count == 0 else ordered[-1] - 1.0)
    return float(ordered[count - 1 : count + 1].mean())


def make_inputs(spec: GraphSpec) -> Iterator[dict[str, Tensor]]:
    """Yield inputs by name, over sizes and batches.

    A graph with an input "mask" gets masks of every density.
    """
    step = spec.multiple
    sizes = SIZES if spec.any_size or step == 1 else tuple((rows * step, columns * step) for rows, columns in MULTIPLES)
    example = next(iter(spec.inputs.values()))[0]
    if not spec.free_size:
        sizes = ((example.shape[2], example.shape[3]),)
    batches = (1, 2) if spec.free_batch else (example.shape[0],)
    densities = DENSITIES if "mask" in spec.inputs else (0.5,)
    for case, (height, width) in enumerate(sizes):
        for batch, density in ((batch, density) for batch in batches for density in densities):
            yield {
                name: _like(name, example, divisor, (batch, height, width), density, case)
                for name, (example, divisor) in spec.inputs.items()
            }


def pad_inputs(value: Tensor, spec: GraphSpec) -> Tensor:
    """Pad an input as the graph does by itself.

    The last row and column are repeated up to the multiple and the smallest size, and up to a square.
    """
    smallest = spec.min_size + -spec.min_size % spec.multiple
    height, width = (max(side + -side % spec.multiple, smallest) for side in value.shape[2:])
    if spec.square:
        height = width = max(height, width)
    down, right = height - value.shape[2], width - value.shape[3]
    return F.pad(value, (0, right, 0, down), mode="replicate")


def _like(
    name: str, example: Tensor, divisor: int, size: tuple[int, int, int], density: float | str, seed: int
) -> Tensor:
    batch, height, width = size
    shape = (height // divisor, width // divisor) if divisor else (example.shape[2], example.shape[3])
    full = (batch, example.shape[1], *shape)
    if name == "image":
        return make_picture(full, seed)
    if name == "mask":
        return random_mask(full, density, seed)
    values = torch.rand(full, generator=torch.Generator().manual_seed(seed))
    return (values > 0.3).float() if name == "key_mask" else values

"""Small network, pictures and masks for tests of the network."""

from __future__ import annotations

import dataclasses

import torch

from spair.network import SPAIR, TINY
from spair.network.operators import _moments
from spair.network.spair import MODULATED, clean_grid, mask_pyramid

SMALL = dataclasses.replace(TINY, name="small", local_channels=(4, 6, 8), channels=(6, 8, 8), grid=4)


def randomize(model: SPAIR) -> SPAIR:
    """Return a network in which every block changes the result.

    A fresh network starts as the identity.
    """
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 4
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / fan_in**0.5)
    return model.eval()


def make_picture(batch: int, height: int, width: int) -> torch.Tensor:
    """Draw a batch of pictures, float32 [N, 3, H, W]."""
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def make_mask(image: torch.Tensor, density: float) -> torch.Tensor:
    """Draw masks of a density for pictures."""
    generator = torch.Generator().manual_seed(2)
    return (torch.rand(image.shape[0], 1, *image.shape[2:], generator=generator) < density).float()


def find_affine(
    model: SPAIR, image: torch.Tensor, mask: torch.Tensor
) -> tuple[tuple[torch.Tensor, ...], list[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Return the features, the affine maps and the clean keys of whole pictures."""
    features, masks = model.localize(image).features, mask_pyramid(mask)
    affine = []
    for scale in MODULATED:
        mean0, var0, _ = _moments(features[scale], 1 - masks[scale])
        mean1, var1, _ = _moments(features[scale], masks[scale])
        factor = torch.sqrt((var0 + 1e-5) / (var1 + 1e-5))
        affine += [factor, mean0 - mean1 * factor]
    return features, affine, clean_grid(features[2], masks[2], model.preset.grid)

"""A small denoising network that is not SPAIR."""

import torch
from torch import nn


class Denoiser(nn.Module):
    """Three convolutions that predict the noise of a picture.

    Pictures are [N, 3, H, W] in 0..1.
    """

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, 3, 3, padding=1),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the picture without the noise that was found."""
        return (image - self.body(image)).clamp(0.0, 1.0)


def build() -> nn.Module:
    """Build the network; `--factory denoiser:build` names this function."""
    return Denoiser()

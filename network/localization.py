"""Net_L, the localization network.

It decides which pixels are distorted and computes features of every pixel, which Net_R uses.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from .presets import Preset


class DenseBlock(nn.Module):
    """Two 3x3 convolutions with a residual link, then ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N,C,H,W] to [N,C,H,W]."""
        return F.relu(x + self.second(F.relu(self.first(x))))


class NetL(nn.Module):
    """A small encoder-decoder that never computes at full size.

    It starts with a strided convolution. Its last layer computes the mask and the full-size features at half size,
    and a pixel shuffle unfolds them. This keeps Net_L below a tenth of the multiply-adds of the whole network. The
    share matters because Net_L runs on every pixel whatever the mask is, so it limits what sparsity can save.
    """

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        half, quarter, eighth = preset.local_channels
        self.detail_channels = preset.detail_channels
        self.stem = nn.Conv2d(3, half, 6, stride=2, padding=2)
        self.encode_half = DenseBlock(half)
        self.to_quarter = nn.Conv2d(half, quarter, 3, stride=2, padding=1)
        self.encode_quarter = DenseBlock(quarter)
        self.to_eighth = nn.Conv2d(quarter, eighth, 3, stride=2, padding=1)
        self.bottom = nn.Sequential(DenseBlock(eighth), DenseBlock(eighth))
        self.up_quarter = nn.Conv2d(eighth, quarter, 1)
        self.decode_quarter = DenseBlock(quarter)
        self.up_half = nn.Conv2d(quarter, half, 1)
        self.decode_half = DenseBlock(half)
        self.head = nn.Conv2d(half, 4 * (1 + preset.detail_channels), 3, padding=1)

    # An output depends on no input pixel farther away than this radius in full-size pixels. The convolutions reach
    # 7 x 2 at half size, 5 x 4 at quarter size and 4 x 8 at eighth size, and the two up-samplings add up to 10: 76,
    # rounded up to a multiple of 8.
    receptive_radius = 80

    def forward(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """Compute the mask logits and the features of a batch.

        Args:
            image: [N,3,H,W] float RGB 0..1, H and W multiples of 8.

        Returns:
            logits [N,1,H,W], and features [N,c0,H,W], [N,c1,H/2,W/2], [N,c2,H/4,W/4], all >= 0.
        """
        half = self.encode_half(F.relu(self.stem(image)))
        quarter = self.encode_quarter(F.relu(self.to_quarter(half)))
        eighth = self.bottom(F.relu(self.to_eighth(quarter)))
        quarter = self.decode_quarter(quarter + _double(self.up_quarter(eighth)))
        half = self.decode_half(half + _double(self.up_half(quarter)))
        full = F.pixel_shuffle(self.head(half), 2)
        return full[:, :1], (F.relu(full[:, 1:]), half, quarter)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")

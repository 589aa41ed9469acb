"""Net_L, the localization network: which pixels are distorted, and features of every pixel for Net_R to use."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from .presets import Preset


class DenseBlock(nn.Module):
    """Two 3x3 convolutions with a residual link: [N,C,H,W] -> [N,C,H,W], ReLU after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        return F.relu(x + self.second(F.relu(self.first(x))))


class NetL(nn.Module):
    """A small encoder-decoder that never computes at full size.

    It starts with a strided convolution and unfolds its mask and its full-size features at the end, which keeps it
    below a tenth of the multiply-adds of the whole network: these run on every pixel, whatever the mask, and so bound
    what sparsity can win.
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

    # Radius, in full-size pixels, beyond which no input pixel reaches an output:
    # convolutions at half size 7 x 2 + quarter 5 x 4 + eighth 4 x 8, and up to 10 through the two up-samplings.
    receptive_radius = 80

    def forward(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """Localize.

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

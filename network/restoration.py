"""Net_R, the restoration network.

All its layers run on distorted pixels only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .operators import SparseConv2d, sparse_non_local
from .presets import Preset

Scales = tuple[Tensor, Tensor, Tensor]
"""Three tensors, one per scale: full, half and quarter size."""


class ResidualPair(nn.Module):
    """Two sparse 3x3 convolutions with a residual link."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = SparseConv2d(channels, channels, 3, relu=True)
        self.second = SparseConv2d(channels, channels, 3)
        nn.init.zeros_(self.second.weight)  # the pair starts as the identity, so deep stacks train at once

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map x [N,C,H,W] and mask [N,1,H,W] to [N,C,H,W].

        Both x and the result are zero at clean pixels.
        """
        return x + self.second(self.first(x, mask), mask)


class SparseConvolutionModule(nn.Module):
    """Stack of residual pairs (SCM)."""

    def __init__(self, channels: int, pairs: int) -> None:
        super().__init__()
        self.pairs = nn.ModuleList(ResidualPair(channels) for _ in range(pairs))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map x [N,C,H,W] and mask [N,1,H,W] to [N,C,H,W].

        Both x and the result are zero at clean pixels.
        """
        for pair in self.pairs:
            x = pair(x, mask)
        return x


class SparseNonLocalModule(nn.Module):
    """Attention of distorted pixels to the whole picture (SNL).

    Every distorted pixel looks up the clean features of the whole picture.
    """

    def __init__(self, channels: int, key_channels: int, attention_channels: int) -> None:
        super().__init__()
        self.query = SparseConv2d(channels, attention_channels, 1)
        self.key = nn.Conv2d(key_channels, attention_channels, 1)
        self.value = nn.Conv2d(key_channels, attention_channels, 1)
        self.out = SparseConv2d(attention_channels, channels, 1)

    def forward(self, x: Tensor, mask: Tensor, keys: Tensor, key_mask: Tensor) -> Tensor:
        """Add the clean features that distorted pixels find.

        Args:
            x: features [N,C,H,W].
            mask: [N,1,H,W], 0 or 1.
            keys: clean features of the whole picture [N,K,G,G].
            key_mask: [N,1,G,G], 1 where a cell has a clean pixel.

        Returns:
            [N,C,H,W].
        """
        found = sparse_non_local(self.query(x, mask), self.key(keys), self.value(keys), mask, key_mask)
        return x + self.out(found, mask)


class NetR(nn.Module):
    """Restoration network on distorted pixels.

    It has a fusing encoder layer and an SCM per scale, an SNL at the coarsest scale, and a decoder from coarse to fine.
    """

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        full, half, quarter = preset.channels
        features = preset.feature_channels
        # The first layer of a scale reads clean neighbours too, because the picture and Net_L's features exist there.
        self.fuse = nn.ModuleList(
            SparseConv2d(3 + inner, outer, 3, relu=True, clean_input=True)
            for inner, outer in zip(features, preset.channels, strict=True)
        )
        self.scm = nn.ModuleList(
            SparseConvolutionModule(channels, pairs)
            for channels, pairs in zip(preset.channels, preset.pairs, strict=True)
        )
        self.snl = SparseNonLocalModule(quarter, features[2], preset.attention_channels)
        self.up_half = SparseConv2d(quarter, 4 * half, 1)
        self.lateral_half = SparseConv2d(half, half, 1)
        self.up_full = SparseConv2d(half, 4 * full, 1)
        self.lateral_full = SparseConv2d(full, full, 1)
        self.out = SparseConv2d(full, 3, 3)
        nn.init.normal_(self.out.weight, std=1e-3)
        self.gate_output = preset.gate_output
        self.attention_products = preset.attention_channels * preset.grid**2  # multiply-adds of one query with all keys
        # An output depends on no input pixel farther away than this radius in full-size pixels. It is the sum of the
        # fuse layer and two convolutions per pair at each scale, 1 for the last layer at full size, and 2 + 4 for the
        # cells of the coarser scales above a pixel, which start up to 3 pixels before it.
        self.receptive_radius = sum((1 + 2 * pairs) * 2**scale for scale, pairs in enumerate(preset.pairs)) + 1 + 2 + 4

    def work(self) -> tuple[float, float, float]:
        """Return the shares of the multiply-adds per scale.

        Returns:
            Shares at full, half and quarter size for a picture whose pixels are all distorted; their sum is 1.
        """
        layers = (
            (self.fuse[0], self.scm[0], self.lateral_full, self.out),
            (self.fuse[1], self.scm[1], self.lateral_half, self.up_full),
            (self.fuse[2], self.scm[2], self.snl.query, self.snl.out, self.up_half),
        )
        weights = [
            sum(parameter.numel() for layer in scale for parameter in layer.parameters() if parameter.dim() == 4)
            for scale in layers
        ]
        weights[2] += 2 * self.attention_products
        full, half, quarter = (count / 4**scale for scale, count in enumerate(weights))
        total = full + half + quarter
        return full / total, half / total, quarter / total

    def forward(self, image: Tensor, masks: Scales, features: Scales, keys: Tensor, key_mask: Tensor) -> Tensor:
        """Compute the residual image.

        Args:
            image: [N,3,H,W] float RGB 0..1, H and W multiples of 8.
            masks: [N,1,H,W], [N,1,H/2,W/2], [N,1,H/4,W/4], 0 or 1; each is the max-pool of the one before.
            features: modulated features of Net_L [N,c0,H,W], [N,c1,H/2,W/2], [N,c2,H/4,W/4].
            keys: clean features of the whole picture [N,c2,G,G].
            key_mask: [N,1,G,G], 1 where a grid cell has a clean pixel.

        Returns:
            [N,3,H,W]; zero at clean pixels if the preset gates its output.
        """
        pictures = _pyramid(image)
        encoded = [
            fuse(torch.cat((picture, feature), 1), mask)
            for fuse, picture, feature, mask in zip(self.fuse, pictures, features, masks, strict=True)
        ]
        x = self.scm[2](self.snl(encoded[2], masks[2], keys, key_mask), masks[2])
        x = F.relu(self.lateral_half(encoded[1], masks[1]) + _unfold(self.up_half(x, masks[2]), masks[1]))
        x = self.scm[1](x, masks[1])
        x = F.relu(self.lateral_full(encoded[0], masks[0]) + _unfold(self.up_full(x, masks[1]), masks[0]))
        x = self.scm[0](x, masks[0])
        if self.gate_output:
            return self.out(x, masks[0])
        return F.conv2d(x, self.out.weight, self.out.bias, padding=1)


def _unfold(x: Tensor, mask: Tensor) -> Tensor:
    """Unfold [N,4C,H,W] to [N,C,2H,2W] and mask it.

    The result has the type of x, also under autocast, and is zero where the finer mask is zero.
    """
    return F.pixel_shuffle(x, 2) * mask.to(x.dtype)


def _pyramid(image: Tensor) -> Scales:
    half = F.avg_pool2d(image, 2)
    return image, half, F.avg_pool2d(half, 2)

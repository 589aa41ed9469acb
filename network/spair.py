"""SPAIR whole: Net_L marks the distorted pixels, Net_R restores them, clean pixels pass through untouched."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .localization import NetL
from .operators import MODULATION_EPS, affine_at_mask, masked_modulation
from .presets import Preset
from .restoration import NetR, Scales

MULTIPLE = 8
"""Inside the network height and width are multiples of this; `forward` pads and crops."""

MODULATED = (1, 2)
"""Scales whose features pass the spatial feature modulator: coarse ones, where whole-picture statistics are cheap."""


KEY_SCALE = 2
"""Scale whose clean features are the keys of the non-local module."""


class Localized(NamedTuple):
    """What Net_L found."""

    logits: Tensor
    """[N,1,H,W]; the probability of a distortion is their sigmoid."""
    mask: Tensor
    """[N,1,H,W], 0 or 1."""
    features: Scales
    """[N,c0,H,W], [N,c1,H/2,W/2], [N,c2,H/4,W/4]."""


class Restored(NamedTuple):
    """What `SPAIR.forward` returns, all at the input's size."""

    image: Tensor
    """[N,3,H,W], 0..1 where the mask is 1, the input where it is 0."""
    mask: Tensor
    """[N,1,H,W], 0 or 1: the mask that was used."""
    logits: Tensor
    """[N,1,H,W]."""


class SPAIR(nn.Module):
    """The restoration network. Input: RGB float [N,3,H,W] in 0..1, any H, W >= 1."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.preset = preset
        self.net_l = NetL(preset)
        self.net_r = NetR(preset)
        probability = preset.mask_threshold
        self.logit_threshold = math.log(probability / (1.0 - probability))

    def geometry(self) -> dict[str, Any]:
        """What a runtime that tiles pictures has to know; lengths in full-size pixels, JSON values only."""
        preset = self.preset
        return {
            "multiple": MULTIPLE,
            "halo_l": self.net_l.receptive_radius + -self.net_l.receptive_radius % MULTIPLE,
            "halo_r": self.net_r.receptive_radius + -self.net_r.receptive_radius % MULTIPLE,
            "grid": preset.grid,
            "scales": list(range(len(preset.feature_channels))),
            "channels": list(preset.feature_channels),
            "modulated": list(MODULATED),
            "key_scale": KEY_SCALE,
            "eps": MODULATION_EPS,
            "mask_threshold": preset.mask_threshold,
            "gate_output": preset.gate_output,
            "work": list(self.net_r.work()),
        }

    def forward(self, image: Tensor, mask: Tensor | None = None) -> Restored:
        """Restore a batch.

        Args:
            image: [N,3,H,W] float RGB 0..1, any size.
            mask: [N,1,H,W] of 0 and 1 to use instead of Net_L's (training, profiling).
        """
        height, width = image.shape[2:]
        padded = pad_to_multiple(image)
        found = self.localize(padded)
        used = found.mask if mask is None else pad_to_multiple(mask.to(image.dtype))
        restored = self.restore(padded, used, found.features)
        return Restored(*(part[..., :height, :width] for part in (restored, used, found.logits)))

    def localize(self, image: Tensor) -> Localized:
        """Net_L and its hard mask; image [N,3,H,W], H and W multiples of 8."""
        logits, features = self.net_l(image)
        return Localized(logits, (logits > self.logit_threshold).to(image.dtype), features)

    def restore(self, image: Tensor, mask: Tensor, features: Scales) -> Tensor:
        """Net_R with the statistics of this image: [N,3,H,W], H and W multiples of 8."""
        masks = mask_pyramid(mask)
        modulated = (features[0], *(masked_modulation(features[scale], masks[scale]) for scale in MODULATED))
        keys, key_mask = clean_grid(features[KEY_SCALE], masks[KEY_SCALE], self.preset.grid)
        return self.compose(image, mask, self.net_r(image, masks, modulated, keys, key_mask))

    def restore_tile(
        self,
        image: Tensor,
        mask: Tensor,
        features: Scales,
        affine: tuple[Tensor, Tensor, Tensor, Tensor],
        keys: Tensor,
        key_mask: Tensor,
    ) -> Tensor:
        """Net_R on a part of a picture, with the whole picture's statistics handed in.

        Args:
            image: tile [N,3,H,W]; mask [N,1,H,W] and features cut likewise; H and W multiples of 8.
            mask: see image.
            features: Net_L's, not yet modulated.
            affine: scale and shift [N,c1,1,1] of the half-size features, then [N,c2,1,1] of the quarter-size ones.
            keys: [N,c2,G,G].
            key_mask: [N,1,G,G].
        """
        masks = mask_pyramid(mask)
        modulated = (
            features[0],
            affine_at_mask(features[1], masks[1], affine[0], affine[1]),
            affine_at_mask(features[2], masks[2], affine[2], affine[3]),
        )
        return self.compose(image, mask, self.net_r(image, masks, modulated, keys, key_mask))

    def compose(self, image: Tensor, mask: Tensor, residual: Tensor) -> Tensor:
        """Add the residual; a select, not a multiplication, so clean pixels are bit-identical whatever it holds."""
        restored = torch.clamp(image + residual, 0.0, 1.0)
        return torch.where(mask > 0.5, restored, image) if self.preset.gate_output else restored


def pad_to_multiple(x: Tensor, multiple: int = MULTIPLE) -> Tensor:
    """Repeat the last row and column until height and width of [N,C,H,W] are multiples of `multiple`."""
    down, right = -x.shape[2] % multiple, -x.shape[3] % multiple
    return F.pad(x, (0, right, 0, down), mode="replicate") if down or right else x


def mask_pyramid(mask: Tensor) -> Scales:
    """Masks at full, half and quarter size by max-pooling, so that no distorted pixel is lost."""
    half = F.max_pool2d(mask, 2)
    return mask, half, F.max_pool2d(half, 2)


def clean_grid(features: Tensor, mask: Tensor, grid: int) -> tuple[Tensor, Tensor]:
    """Mean clean feature in every cell of a raster laid over the picture: the keys of the non-local module.

    Row r of H rows belongs to cell row floor(r * grid / H), columns likewise. A fixed raster bounds the cost of
    attention whatever the picture's size, and lets all tiles of a picture share the same keys.

    Args:
        features: [N,C,H,W].
        mask: [N,1,H,W]; clean is 0.
        grid: cells per side.

    Returns:
        keys [N,C,grid,grid], 0 in cells without a clean pixel, and key_mask [N,1,grid,grid].
    """
    rows = _cells(features.shape[2], grid, features)  # [G,H]
    columns = _cells(features.shape[3], grid, features)  # [G,W]
    clean = 1.0 - mask
    count = rows @ clean @ columns.T
    return (rows @ (features * clean) @ columns.T) / count.clamp(min=1.0), (count > 0.5).to(features.dtype)


def _cells(size: int, grid: int, like: Tensor) -> Tensor:
    """[grid, size] float, 1 where the position belongs to the cell."""
    cell = torch.arange(size, device=like.device) * grid // size
    return (torch.arange(grid, device=like.device)[:, None] == cell[None, :]).to(like.dtype)

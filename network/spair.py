"""SPAIR, the whole restoration network.

Net_L marks the distorted pixels, Net_R restores them, and clean pixels stay as they are.
"""

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
"""Number of pixels that height and width are multiples of inside the network; `forward` pads and crops."""

MODULATED = (1, 2)
"""Scales whose features are modulated; these are the coarse ones, where statistics of a whole picture are cheap."""

KEY_SCALE = 2
"""Scale whose clean features are the keys of the non-local module; 2 is quarter size."""


class Localized(NamedTuple):
    """Result of Net_L and its threshold."""

    logits: Tensor
    """[N,1,H,W]; their sigmoid is the probability of a distortion."""
    mask: Tensor
    """[N,1,H,W], 0 or 1."""
    features: Scales
    """[N,c0,H,W], [N,c1,H/2,W/2], [N,c2,H/4,W/4]."""


class Restored(NamedTuple):
    """Result of `SPAIR.forward`, at the size of the input."""

    image: Tensor
    """[N,3,H,W], restored values in 0..1 where the mask is 1, and the input where it is 0."""
    mask: Tensor
    """[N,1,H,W], 0 or 1, the mask that was used."""
    logits: Tensor
    """[N,1,H,W], logits of Net_L."""


class SPAIR(nn.Module):
    """Restoration network for RGB pictures.

    It takes float [N,3,H,W] in 0..1 of any height and width from 1 up.
    """

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.preset = preset
        self.net_l = NetL(preset)
        self.net_r = NetR(preset)
        probability = preset.mask_threshold
        self.logit_threshold = math.log(probability / (1.0 - probability))

    def geometry(self) -> dict[str, Any]:
        """Return the facts that a tiling runtime needs.

        Lengths are in full-size pixels. All values can be written as JSON.
        """
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

        In the padding, picture and mask repeat their last row and column. So a mask that was found, given back, gives
        the same picture.

        Args:
            image: [N,3,H,W] float RGB 0..1, any size.
            mask: [N,1,H,W], 0 or 1; replaces the mask of Net_L in training and profiling.
        """
        height, width = image.shape[2:]
        padded = pad_to_multiple(image)
        found = self.localize(padded)
        used = pad_to_multiple(found.mask[..., :height, :width] if mask is None else mask.to(image.dtype))
        restored = self.restore(padded, used, found.features)
        return Restored(*(part[..., :height, :width] for part in (restored, used, found.logits)))

    def localize(self, image: Tensor, logit_threshold: float | None = None) -> Localized:
        """Run Net_L and threshold its mask.

        Args:
            image: [N,3,H,W] float RGB 0..1, H and W multiples of 8.
            logit_threshold: logit above which a pixel is distorted; None for that of the preset's `mask_threshold`.
        """
        logits, features = self.net_l(image)
        threshold = self.logit_threshold if logit_threshold is None else logit_threshold
        return Localized(logits, (logits > threshold).to(image.dtype), features)

    def restore(self, image: Tensor, mask: Tensor, features: Scales) -> Tensor:
        """Run Net_R with the statistics of the whole image.

        Args:
            image: [N,3,H,W] float RGB 0..1, H and W multiples of 8.
            mask: [N,1,H,W], 0 or 1.
            features: features of Net_L, not yet modulated.

        Returns:
            [N,3,H,W].
        """
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
        """Run Net_R on one tile of a picture.

        The statistics of the whole picture come from the caller.

        Args:
            image: tile [N,3,H,W] float RGB 0..1, H and W multiples of 8.
            mask: [N,1,H,W], 0 or 1, of this tile.
            features: features of Net_L for this tile, not yet modulated.
            affine: scale and shift [N,c1,1,1] of the half-size features, then [N,c2,1,1] of the quarter-size ones.
            keys: clean features of the whole picture [N,c2,G,G].
            key_mask: [N,1,G,G], 1 where a cell has a clean pixel.

        Returns:
            [N,3,H,W].
        """
        masks = mask_pyramid(mask)
        modulated = (
            features[0],
            affine_at_mask(features[1], masks[1], affine[0], affine[1]),
            affine_at_mask(features[2], masks[2], affine[2], affine[3]),
        )
        return self.compose(image, mask, self.net_r(image, masks, modulated, keys, key_mask))

    def compose(self, image: Tensor, mask: Tensor, residual: Tensor) -> Tensor:
        """Add the residual to the distorted pixels.

        It selects pixels and does not multiply by the mask: clean pixels keep their exact bits even where the residual
        is not finite.

        Args:
            image: [N,3,H,W] float RGB 0..1.
            mask: [N,1,H,W], 0 or 1.
            residual: [N,3,H,W].

        Returns:
            [N,3,H,W], 0..1 where the mask is 1.
        """
        restored = torch.clamp(image + residual, 0.0, 1.0)
        return torch.where(mask > 0.5, restored, image) if self.preset.gate_output else restored


def pad_to_multiple(x: Tensor, multiple: int = MULTIPLE) -> Tensor:
    """Repeat the last row and column of [N,C,H,W].

    Height and width of the result are multiples of `multiple`.
    """
    down, right = -x.shape[2] % multiple, -x.shape[3] % multiple
    return F.pad(x, (0, right, 0, down), mode="replicate") if down or right else x


def mask_pyramid(mask: Tensor) -> Scales:
    """Return the mask at full, half and quarter size.

    Max-pooling keeps every distorted pixel.
    """
    half = F.max_pool2d(mask, 2)
    return mask, half, F.max_pool2d(half, 2)


def clean_grid(features: Tensor, mask: Tensor, grid: int) -> tuple[Tensor, Tensor]:
    """Average the clean features in each cell of a raster.

    The averages are the keys of the non-local module. The raster covers the whole picture: row r of H rows lies in
    cell row floor(r * grid / H), and columns are divided in the same way. A fixed number of cells limits the cost of
    the attention for pictures of any size, and all tiles of a picture share the same keys.

    Args:
        features: [N,C,H,W].
        mask: [N,1,H,W], 0 at clean pixels and 1 at distorted ones.
        grid: cells per side.

    Returns:
        Keys [N,C,grid,grid], 0 in cells without a clean pixel, and their key mask [N,1,grid,grid].
    """
    rows = _cells(features.shape[2], grid, features)  # [G,H]
    columns = _cells(features.shape[3], grid, features)  # [G,W]
    clean = 1.0 - mask
    count = rows @ clean @ columns.T
    return (rows @ (features * clean) @ columns.T) / count.clamp(min=1.0), (count > 0.5).to(features.dtype)


def _cells(size: int, grid: int, like: Tensor) -> Tensor:
    """Return [grid, size] float that assigns positions to cells.

    An entry is 1 if the position belongs to the cell, else 0.
    """
    cell = torch.arange(size, device=like.device) * grid // size
    return (torch.arange(grid, device=like.device)[:, None] == cell[None, :]).to(like.dtype)

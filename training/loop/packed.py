"""Net_R on distorted pixels only, with gradients.

On a CPU the cost of a training step then follows the distortion. It adds the sums of `SPAIR.restore` in another
order. Full and half size, where most of the work is, are computed as rows of distorted pixels. Quarter size, where most
crops are distorted almost everywhere, stays dense.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from ...network import SPAIR
from ...network.operators import SparseConv2d, masked_modulation
from ...network.restoration import ResidualPair, Scales
from ...network.spair import KEY_SCALE, MODULATED, clean_grid, mask_pyramid

BLOCK = 1024
"""Rows whose neighbourhoods are gathered at a time.

9 x 64 floats for each row, 2.4 MB, stay in the cache of a core.
"""


class Rows:
    """Distorted pixels of a batch at one scale."""

    def __init__(self, mask: Tensor) -> None:
        """Index the distorted pixels of a mask.

        The mask is [N,1,H,W] of 0 and 1.
        """
        count, _, height, width = mask.shape
        self.shape = (count, height, width)
        self.index = mask.flatten().nonzero().squeeze(1)
        """[R] positions of the rows in N*H*W."""
        picture, place = self.index // (height * width), self.index % (height * width)
        self.y, self.x = place // width, place % width
        padded = (height + 2) * (width + 2)
        numbers = torch.full((count * padded,), len(self), dtype=torch.long)
        middle = picture * padded + (self.y + 1) * (width + 2) + self.x + 1
        numbers[middle] = torch.arange(len(self))
        offsets = torch.tensor([dy * (width + 2) + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
        self.neighbours = numbers[middle[:, None] + offsets]
        """[R,9] rows of the 3x3 neighbourhood; the number R, beyond the last row, for clean and outside neighbours."""
        self.numbers, self.middle = numbers, middle

    def __len__(self) -> int:
        return len(self.index)

    def pick(self, x: Tensor) -> Tensor:
        """Pick the rows out of a tensor, [N,C,H,W] -> [R,C]."""
        return _Take.apply(x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]), self.index)

    def spread(self, rows: Tensor) -> Tensor:
        """Put rows back into a tensor, [R,C] -> [N,C,H,W].

        Clean pixels become zero.
        """
        count, height, width = self.shape
        flat = rows.new_zeros(count * height * width, rows.shape[1]).index_copy(0, self.index, rows)
        return flat.view(count, height, width, rows.shape[1]).permute(0, 3, 1, 2)

    def double(self, rows: Tensor, fine: Rows) -> Tensor:
        """Pixel-shuffle rows by two, [R,4C] -> [fine R,C].

        The result has the rows of `fine`, the mask of twice the size. Every fine row has a coarse row, because coarse
        masks are max-pooled.
        """
        width = self.shape[2]
        padded = (self.shape[1] + 2) * (width + 2)
        picture = fine.index // (fine.shape[1] * fine.shape[2])
        parent = self.numbers[picture * padded + (fine.y // 2 + 1) * (width + 2) + fine.x // 2 + 1]
        parts = rows.view(len(self), rows.shape[1] // 4, 4).transpose(1, 2).reshape(4 * len(self), rows.shape[1] // 4)
        return _Take.apply(parts, parent * 4 + (fine.y % 2) * 2 + fine.x % 2)


class _Take(torch.autograd.Function):
    """Selection of rows by distinct indices.

    The gradient is put back instead of added up, which is several times faster.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.count = x.shape[0]
        return x.index_select(0, index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        return gradient.new_zeros(ctx.count, gradient.shape[1]).index_copy_(0, index, gradient), None


class _Convolve(torch.autograd.Function):
    """3x3 convolution of rows.

    It gathers the neighbours of each row and multiplies them with the weights. If a row has a neighbour, it is itself a
    neighbour of that row, so the gradient gathers in the same way. Rows are computed in their own type, bfloat16 in
    mixed precision.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, neighbours: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        padded = F.pad(x, (0, 0, 0, 1))
        ctx.save_for_backward(padded, neighbours, weight)
        matrix = weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0]).to(x.dtype)  # [9C,D]
        bias = bias.to(x.dtype)
        out = x.new_empty(x.shape[0], weight.shape[0])
        for start in range(0, x.shape[0], BLOCK):
            torch.addmm(bias, _around(padded, neighbours, start), matrix, out=out[start : start + BLOCK])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, Tensor, Tensor]:
        x, neighbours, weight = ctx.saved_tensors
        outputs, inputs = weight.shape[:2]
        padded = F.pad(gradient, (0, 0, 0, 1))
        back = weight.permute(2, 3, 0, 1).reshape(-1, inputs).to(x.dtype)  # [9D,C]
        opposite = neighbours.flip(1)  # a row that has this one at offset k lies at offset -k
        to_x = gradient.new_empty(gradient.shape[0], inputs)
        # in the precision of the weights, because it sums many blocks
        to_matrix = weight.new_zeros(9 * inputs, outputs)
        for start in range(0, gradient.shape[0], BLOCK):
            block = slice(start, start + BLOCK)
            torch.mm(_around(padded, opposite, start), back, out=to_x[block])
            to_matrix += _around(x, neighbours, start).t() @ gradient[block]
        to_weight = to_matrix.view(3, 3, inputs, outputs).permute(3, 2, 0, 1).contiguous()
        return to_x, None, to_weight, gradient.sum(0, dtype=weight.dtype)


def _around(padded: Tensor, neighbours: Tensor, start: int) -> Tensor:
    """Gather the neighbourhoods of a block of rows, [B,9C].

    The last row of `padded` is zero.
    """
    near = neighbours[start : start + BLOCK]
    return padded.index_select(0, near.flatten()).view(near.shape[0], 9 * padded.shape[1])


def restore_by_density(model: SPAIR, image: Tensor, mask: Tensor, features: Scales, packed_below: float) -> Tensor:
    """Restore pictures packed or dense, as their density asks.

    Pictures whose distorted share is below `packed_below` are restored packed, all others with `model.restore`.
    """
    few = mask.mean((1, 2, 3)) < packed_below
    parts = []
    for chosen, restore in ((few, functools.partial(restore_packed, model)), (~few, model.restore)):
        if chosen.all():
            return restore(image, mask, features)
        one, two, three = (feature[chosen] for feature in features)
        parts.append(restore(image[chosen], mask[chosen], (one, two, three)))
    order = torch.cat((few.nonzero(), (~few).nonzero())).flatten().argsort()
    return torch.cat(parts)[order]


def restore_packed(model: SPAIR, image: Tensor, mask: Tensor, features: Scales) -> Tensor:
    """Restore pictures with few distorted pixels on a CPU.

    Arguments and sums are the same as in `model.restore`.

    Raises:
        ValueError: the preset does not gate its output, so its last layer also writes clean pixels.
    """
    if not model.preset.gate_output:
        raise ValueError("only networks that gate their output can be restored on distorted pixels alone")
    net, masks = model.net_r, mask_pyramid(mask)
    modulated = [features[0], *(masked_modulation(features[scale], masks[scale]) for scale in MODULATED)]
    keys, key_mask = clean_grid(features[KEY_SCALE], masks[KEY_SCALE], model.preset.grid)
    half_image = F.avg_pool2d(image, 2)
    coarse = net.fuse[2](torch.cat((F.avg_pool2d(half_image, 2), modulated[2]), 1), masks[2])
    coarse = net.scm[2](net.snl(coarse, masks[2], keys, key_mask), masks[2])
    half, full = Rows(masks[1]), Rows(masks[0])
    x = half.pick(F.pixel_shuffle(net.up_half(coarse, masks[2]), 2))
    x = _scale(net.fuse[1], net.lateral_half, net.scm[1].pairs, half_image, modulated[1], x, half)
    x = half.double(_each(net.up_full, x), full)
    x = _scale(net.fuse[0], net.lateral_full, net.scm[0].pairs, image, modulated[0], x, full)
    residual = full.spread(_Convolve.apply(x, full.neighbours, net.out.weight, net.out.bias))
    return model.compose(image, mask, residual)


def _scale(
    fuse: Any, lateral: SparseConv2d, pairs: Any, image: Tensor, feature: Tensor, below: Tensor, rows: Rows
) -> Tensor:
    """Run one scale of the decoder on rows, [R,C].

    It fuses, adds the result of the scale below, and runs the residual pairs.
    """
    # The first layer also reads clean neighbours and has few channels: it is computed densely, then picked.
    encoded = F.relu(rows.pick(F.conv2d(torch.cat((image, feature), 1), fuse.weight, fuse.bias, padding=1)))
    x = F.relu(_each(lateral, encoded) + below)
    for pair in pairs:
        assert isinstance(pair, ResidualPair)
        inner = F.relu(_Convolve.apply(x, rows.neighbours, pair.first.weight, pair.first.bias))
        x = x + _Convolve.apply(inner, rows.neighbours, pair.second.weight, pair.second.bias)
    return x


def _each(layer: SparseConv2d, rows: Tensor) -> Tensor:
    """Run a 1x1 convolution on rows."""
    return F.linear(rows, layer.weight[:, :, 0, 0], layer.bias)

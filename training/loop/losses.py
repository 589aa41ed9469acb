"""Losses that training minimizes.

Every loss is a mean over samples, so splitting a batch over devices changes nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..config import Loss

CHARBONNIER_EPS = 1e-3
"""Distance below which the Charbonnier loss is flat; a quarter of an 8-bit step."""

_TINY = 1e-6
"""Mean squared error at 60 dB, added to distances.

It keeps the logarithm of a perfect sample finite and its gradient small.
"""


def image_loss(restored: Tensor, clean: Tensor, known: Tensor, loss: Loss) -> Tensor:
    """Compute the picture loss of a batch, a scalar.

    Samples whose clean picture is not known count as 0.

    Args:
        restored: [N,3,H,W].
        clean: [N,3,H,W] 0..1; any values where it is not known.
        known: [N] float, 1 where `clean` is known, else 0.
        loss: terms and their weights.
    """
    terms = _equalized(_distance(restored, clean, loss.image), loss.equalize)
    if loss.ssim_weight:
        terms = terms + loss.ssim_weight * (1.0 - _ssim(restored, clean))
    if loss.edge_weight:
        terms = terms + loss.edge_weight * _distance(_laplacian(restored), _laplacian(clean), "charbonnier")
    return (terms * known).mean()


def mask_loss(logits: Tensor, truth: Tensor, loss: Loss, target: Tensor | None = None) -> Tensor:
    """Compute the loss of Net_L's masks, a scalar.

    It is the class-balanced cross entropy plus one minus the soft IoU (Rahman and Wang 2016).

    Args:
        logits: [N,1,H,W].
        truth: [N,1,H,W], 0 or 1.
        loss: balance of the classes and weight of the IoU.
        target: [N,1,H,W] 0..1, what the cross entropy compares with; None for `truth`.
    """
    weight = balance(truth, loss.class_balance)
    entropy = F.binary_cross_entropy_with_logits(logits, truth if target is None else target, reduction="none")
    # Divided by the mean weight, so that the balance moves the optimum and not the size of the loss.
    scale = 1.0 + truth * (weight - 1.0)
    terms = (entropy * scale).mean((1, 2, 3)) / scale.mean((1, 2, 3))
    if loss.iou_weight:
        found = torch.sigmoid(logits)
        both, either = (found * truth).sum((1, 2, 3)), (found + truth - found * truth).sum((1, 2, 3))
        # one pixel is added, so that an empty mask matches an empty truth
        terms = terms + loss.iou_weight * (1.0 - (both + 1.0) / (either + 1.0))
    return terms.mean()


def ramp(degraded: Tensor, clean: Tensor, truth: Tensor, known: Tensor, width: float) -> Tensor:
    """Compute how distorted each pixel is, from 0 to 1.

    Args:
        degraded: [N,3,H,W] 0..1.
        clean: [N,3,H,W] 0..1.
        truth: [N,1,H,W], 0 or 1; the result where `clean` is not known.
        known: [N] float, 1 where `clean` is known, else 0.
        width: difference of the channel that differs most, in 255ths, from which on the result is 1.

    Returns:
        [N,1,H,W].
    """
    difference = (degraded - clean).abs().amax(1, keepdim=True)
    return torch.where(known[:, None, None, None] > 0, (difference * (255.0 / width)).clamp(max=1.0), truth)


def balance(truth: Tensor, power: float) -> Tensor:
    """Compute the weight of the distorted pixels of each sample.

    It is (clean / distorted pixels)^power, kept between 1/10 and 10, and 1 where a sample has only one kind of pixels.

    Returns:
        [N,1,1,1].
    """
    share = truth.mean((1, 2, 3), keepdim=True)
    ratio = ((1.0 - share) / share.clamp(min=1e-6)).pow(power).clamp(0.1, 10.0)
    return torch.where((share > 0) & (share < 1), ratio, torch.ones_like(ratio))


def _distance(a: Tensor, b: Tensor, kind: str) -> Tensor:
    """Compute the mean distance of each sample, [N]."""
    difference = a - b
    if kind == "mse":
        return difference.square().mean((1, 2, 3)) + _TINY
    if kind == "l1":
        return difference.abs().mean((1, 2, 3)) + _TINY**0.5
    # L1 that is smooth at 0 (Charbonnier et al. 1994)
    return torch.sqrt(difference.square() + CHARBONNIER_EPS**2).mean((1, 2, 3))


def _equalized(distance: Tensor, power: float) -> Tensor:
    """Apply the function of a distance whose slope is distance^-power.

    Distances are above 0. At power 1 this is the logarithm.
    """
    return torch.log(distance) if power == 1.0 else distance.pow(1.0 - power) / (1.0 - power)


def _ssim(restored: Tensor, clean: Tensor) -> Tensor:
    """Compute structural similarity of each sample, [N].

    The window is 11x11 (Wang et al. 2004).
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    value = structural_similarity_index_measure(restored, clean, data_range=1.0, reduction=None)
    assert isinstance(value, Tensor)
    return value


def _laplacian(x: Tensor) -> Tensor:
    """Compute four times each pixel minus its four neighbours.

    Channels are separate, and the border is left out.
    """
    return 4 * x[..., 1:-1, 1:-1] - x[..., :-2, 1:-1] - x[..., 2:, 1:-1] - x[..., 1:-1, :-2] - x[..., 1:-1, 2:]

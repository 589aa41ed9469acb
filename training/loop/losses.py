"""What training minimizes. Every loss is a mean over samples: splitting a batch over devices changes nothing."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..config import Loss

CHARBONNIER_EPS = 1e-3
"""A quarter of an 8-bit step: below it the distance is flat."""

_TINY = 1e-6
"""Mean squared error of 60 dB: the logarithm of a perfect sample stays finite, and its gradient small."""


def image_loss(restored: Tensor, clean: Tensor, known: Tensor, loss: Loss) -> Tensor:
    """The picture loss over the samples whose clean picture is known, a scalar; 0 where none is.

    Args:
        restored: [N,3,H,W].
        clean: [N,3,H,W] 0..1; whatever where it is not known.
        known: [N] float, 1 where `clean` is known, else 0.
        loss: which terms, with which weights.
    """
    terms = _equalized(_distance(restored, clean, loss.image), loss.equalize)
    if loss.ssim_weight:
        terms = terms + loss.ssim_weight * (1.0 - _ssim(restored, clean))
    if loss.edge_weight:
        terms = terms + loss.edge_weight * _distance(_laplacian(restored), _laplacian(clean), "charbonnier")
    return (terms * known).mean()


def mask_loss(logits: Tensor, truth: Tensor, loss: Loss) -> Tensor:
    """Cross entropy, class balanced, and one minus the soft IoU (Rahman and Wang 2016): a scalar.

    Args:
        logits: [N,1,H,W].
        truth: [N,1,H,W], 0 or 1.
        loss: which balance, which weight of the IoU.
    """
    weight = balance(truth, loss.class_balance)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    # divided by the mean weight: the balance moves the optimum, not the size of the loss
    scale = 1.0 + truth * (weight - 1.0)
    terms = (entropy * scale).mean((1, 2, 3)) / scale.mean((1, 2, 3))
    if loss.iou_weight:
        found = torch.sigmoid(logits)
        both, either = (found * truth).sum((1, 2, 3)), (found + truth - found * truth).sum((1, 2, 3))
        terms = terms + loss.iou_weight * (1.0 - (both + 1.0) / (either + 1.0))  # + 1 pixel: nothing to find is found
    return terms.mean()


def balance(truth: Tensor, power: float) -> Tensor:
    """(clean / distorted pixels)^power of each sample [N,1,1,1], between 1/10 and 10; 1 where one kind is missing."""
    share = truth.mean((1, 2, 3), keepdim=True)
    ratio = ((1.0 - share) / share.clamp(min=1e-6)).pow(power).clamp(0.1, 10.0)
    return torch.where((share > 0) & (share < 1), ratio, torch.ones_like(ratio))


def _distance(a: Tensor, b: Tensor, kind: str) -> Tensor:
    """[N]: the mean over a sample."""
    difference = a - b
    if kind == "mse":
        return difference.square().mean((1, 2, 3)) + _TINY
    if kind == "l1":
        return difference.abs().mean((1, 2, 3)) + _TINY**0.5
    # L1 that is smooth at 0 (Charbonnier et al. 1994)
    return torch.sqrt(difference.square() + CHARBONNIER_EPS**2).mean((1, 2, 3))


def _equalized(distance: Tensor, power: float) -> Tensor:
    """The function of a distance d > 0 whose slope is d^-power."""
    return torch.log(distance) if power == 1.0 else distance.pow(1.0 - power) / (1.0 - power)


def _ssim(restored: Tensor, clean: Tensor) -> Tensor:
    """[N]: structural similarity (Wang et al. 2004), window 11x11."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    value = structural_similarity_index_measure(restored, clean, data_range=1.0, reduction=None)
    assert isinstance(value, Tensor)
    return value


def _laplacian(x: Tensor) -> Tensor:
    """Four times the pixel minus its neighbours, per channel, without the border."""
    return 4 * x[..., 1:-1, 1:-1] - x[..., :-2, 1:-1] - x[..., 2:, 1:-1] - x[..., 1:-1, :-2] - x[..., 1:-1, 2:]

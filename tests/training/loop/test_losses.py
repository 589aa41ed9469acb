"""Laws of the losses.

Each term equals its definition, and every sample of a batch counts by itself.
"""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from spair.training.config import Loss
from spair.training.evaluation.metrics import psnr
from spair.training.loop.losses import CHARBONNIER_EPS, balance, image_loss, mask_loss, ramp

ALL = Loss(image="charbonnier", equalize=0.5, ssim_weight=0.3, edge_weight=0.2)


def pictures(count: int = 4, size: int = 16, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Restored and clean [N,3,S,S] float64, each sample about ten times closer than the one before."""
    random = torch.Generator().manual_seed(seed)
    clean = torch.rand(count, 3, size, size, generator=random, dtype=torch.float64)
    noise = torch.randn(clean.shape, generator=random, dtype=torch.float64)
    return clean + noise * 10.0 ** -torch.arange(count)[:, None, None, None] / 5, clean


def known(count: int = 4) -> Tensor:
    return torch.ones(count, dtype=torch.float64)


def of(restored: Tensor, clean: Tensor, **terms) -> float:
    return image_loss(restored, clean, known(len(clean)), Loss(**terms)).item()


def test_distances_are_what_their_names_say():
    restored, clean = pictures()
    gap = (restored - clean).numpy()
    eps = CHARBONNIER_EPS
    assert of(restored, clean, image="charbonnier") == pytest.approx(np.sqrt(gap**2 + eps**2).mean(), rel=1e-12)
    # l1 and mse have a millionth (of the square) added, so that their logarithm is finite
    assert of(restored, clean, image="l1") == pytest.approx(np.abs(gap).mean() + 1e-3, rel=1e-12)
    assert of(restored, clean, image="mse") == pytest.approx((gap**2).mean() + 1e-6, rel=1e-12)


@pytest.mark.parametrize("image", ["charbonnier", "l1", "mse"])
@pytest.mark.parametrize("power", [0.0, 0.3, 0.5, 1.0])
def test_a_samples_gradient_is_divided_by_its_distance_to_the_power(image, power):
    restored, clean = pictures()
    restored.requires_grad_()
    (plain,) = torch.autograd.grad(image_loss(restored, clean, known(), Loss(image=image)), restored)
    (equalized,) = torch.autograd.grad(
        image_loss(restored, clean, known(), Loss(image=image, equalize=power)), restored
    )
    for sample in range(4):
        distance = of(restored[[sample]].detach(), clean[[sample]], image=image)
        torch.testing.assert_close(equalized[sample], plain[sample] / distance**power, rtol=1e-9, atol=0.0)


def test_mse_equalized_wholly_is_the_psnr():
    restored, clean = pictures()
    for count in (1, 4):
        loss = of(restored[:count], clean[:count], image="mse", equalize=1.0)
        scores = [psnr(*(part[i].numpy() for part in (restored, clean))) for i in range(count)]
        # 10 log10; the millionth that is added weighs most in the best sample, of squared error 4e-8 * 10^-3...
        worst = min(float((restored[i] - clean[i]).square().mean()) for i in range(count))
        assert loss == pytest.approx(-np.mean(scores) * math.log(10) / 10, abs=1e-6 / worst)


@pytest.mark.parametrize("equalize", [0.0, 1.0])
@pytest.mark.parametrize("image", ["charbonnier", "l1", "mse"])
def test_a_perfect_sample_has_a_finite_loss_and_gradient(image, equalize):
    clean = pictures()[1]
    restored = clean.clone().requires_grad_()
    loss = image_loss(restored, clean, known(), ALL.model_copy(update={"image": image, "equalize": equalize}))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(restored.grad).all()


def term(restored: Tensor, clean: Tensor, **weight: float) -> float:
    """What a term adds at weight 1."""
    return of(restored, clean, **weight) - of(restored, clean)


def test_the_ssim_term_is_one_minus_the_ssim():
    from skimage.metrics import structural_similarity

    restored, clean = pictures(2)
    options = {"channel_axis": 0, "data_range": 1.0, "gaussian_weights": True, "use_sample_covariance": False}
    similar = []
    for pair in zip(restored, clean, strict=True):
        # 5 pixels mirrored on every side, which scikit-image leaves out of its mean: the window of the border pixels
        wide = [np.pad(part.numpy(), ((0, 0), (5, 5), (5, 5)), mode="reflect") for part in pair]
        similar.append(structural_similarity(*wide, **options))
    loss = 1.0 - np.mean(similar)
    assert loss > 0.05
    assert term(restored, clean, ssim_weight=1.0) == pytest.approx(loss, rel=1e-9)
    assert term(restored, clean, ssim_weight=0.5) == pytest.approx(loss / 2, rel=1e-9)
    assert term(clean, clean, ssim_weight=1.0) == pytest.approx(0.0, abs=1e-9)


def test_the_edge_term_sees_edges_and_neither_offsets_nor_slopes():
    restored, clean = pictures(1)
    nothing = CHARBONNIER_EPS
    assert term(clean, clean, edge_weight=1.0) == pytest.approx(nothing)
    slope = torch.linspace(0, 0.3, 16, dtype=torch.float64)
    assert term(clean + 0.1 + slope + slope[:, None], clean, edge_weight=1.0) == pytest.approx(nothing)
    spot = clean.clone()
    spot[0, 1, 7, 9] += 0.1  # a Laplacian of 0.4 at the pixel and -0.1 at four neighbours, of 3 * 14 * 14
    eps = CHARBONNIER_EPS
    gain = math.hypot(0.4, eps) + 4 * math.hypot(0.1, eps) - 5 * eps
    assert term(spot, clean, edge_weight=1.0) - nothing == pytest.approx(gain / (3 * 14 * 14), rel=1e-6)
    assert term(restored, clean, edge_weight=1.0) > 0.1


@pytest.mark.parametrize("loss", [Loss(), ALL, Loss(image="mse", equalize=1.0, ssim_weight=1.0)])
def test_a_sample_without_a_known_clean_picture_teaches_nothing(loss):
    restored, clean = pictures()
    restored.requires_grad_()
    some = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    value = image_loss(restored, clean, some, loss)
    (gradient,) = torch.autograd.grad(value, restored)
    assert gradient[0].any() and gradient[2].any()
    assert not gradient[1].any() and not gradient[3].any()
    other = torch.where(some[:, None, None, None] > 0, clean, 0.5)
    assert image_loss(restored, other, some, loss).item() == value.item()
    assert image_loss(restored, clean, torch.zeros(4), loss).item() == 0.0


def masks(count: int = 4, size: int = 16) -> tuple[Tensor, Tensor]:
    """Logits and truth [N,1,S,S] float64; from few to many distorted pixels."""
    random = torch.Generator().manual_seed(2)
    truth = torch.rand(count, 1, size, size, generator=random, dtype=torch.float64)
    truth = (truth < torch.linspace(0.05, 0.9, count)[:, None, None, None]).double()
    return torch.randn(truth.shape, generator=random, dtype=torch.float64), truth


@pytest.mark.parametrize("parts", [(1, 3), (2, 2), (1, 1, 1, 1)])
def test_splitting_a_batch_changes_nothing(parts):
    restored, clean = pictures()
    logits, truth = masks()
    some = torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    whole = image_loss(restored, clean, some, ALL) + mask_loss(logits, truth, ALL)
    pieces = zip(*(part.split(list(parts)) for part in (restored, clean, some, logits, truth)), strict=True)
    sums = [
        len(known) * (image_loss(restored, clean, known, ALL) + mask_loss(logits, truth, ALL)).item()
        for restored, clean, known, logits, truth in pieces
    ]
    assert sum(sums) / 4 == pytest.approx(whole.item(), rel=1e-12)


def test_distorted_pixels_weigh_the_ratio_to_the_power_within_limits():
    truth = torch.zeros(6, 1, 10, 10, dtype=torch.float64)
    for sample, count in enumerate((0, 1, 20, 50, 99, 100)):
        truth[sample].view(-1)[:count] = 1.0
    assert balance(truth, 1.0).flatten().tolist() == pytest.approx([1, 10, 4, 1, 0.1, 1])  # 99 and 1/99 are too much
    assert balance(truth, 0.5).flatten().tolist() == pytest.approx([1, 99**0.5, 2, 1, 99**-0.5, 1])
    assert balance(truth, 0.0).flatten().tolist() == [1] * 6


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_the_balance_moves_the_best_probability_and_not_the_size(power):
    truth = torch.zeros(1, 1, 10, 10, dtype=torch.float64)
    truth[..., :2, :] = 1.0  # a fifth: the ratio is 4
    loss = Loss(iou_weight=0.0, class_balance=power)
    assert mask_loss(torch.zeros_like(truth), truth, loss).item() == pytest.approx(math.log(2))  # of p = 1/2 always
    # one logit for all pixels: w * 0.2 of weight is distorted, 0.8 is clean, so the best p is w / (w + 4)
    best = torch.tensor(math.log(4**power / 4), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(mask_loss(best.expand_as(truth), truth, loss), best)
    assert slope.item() == pytest.approx(0.0, abs=1e-12)
    entropy = mask_loss(best.detach().expand_as(truth), truth, loss).item()
    share = 4**power / (4**power + 4)
    assert entropy == pytest.approx(-share * math.log(share) - (1 - share) * math.log(1 - share))


def iou_term(logits: Tensor, truth: Tensor) -> float:
    """1 - soft IoU alone."""
    with_it, without = (mask_loss(logits, truth, Loss(iou_weight=weight)).item() for weight in (1.0, 0.0))
    return with_it - without


@pytest.mark.parametrize("count", [0, 1, 37, 100])
def test_the_soft_iou_is_one_for_the_true_mask_and_falls_to_one_pixel_of_the_union(count):
    truth = torch.zeros(1, 1, 10, 10, dtype=torch.float64)
    truth.view(-1)[:count] = 1.0
    sure = 60.0 * (2 * truth - 1)  # sigmoid(-60) is 1e-26
    assert iou_term(sure, truth) == pytest.approx(0.0, abs=1e-12)
    assert iou_term(-sure, truth) == pytest.approx(1.0 - 1.0 / 101.0)  # all 100 pixels are in the union
    half = iou_term(torch.zeros_like(truth), truth)  # intersection count/2, union (100 + count)/2
    assert half == pytest.approx(1.0 - (count / 2 + 1) / (50 + count / 2 + 1))


def test_the_ramp_is_the_largest_difference_of_a_channel_in_its_width():
    clean = torch.full((2, 3, 1, 4), 0.2, dtype=torch.float64)
    degraded, truth = clean.clone(), torch.ones(2, 1, 1, 4, dtype=torch.float64)
    degraded[:, 1] += torch.tensor([0.0, 4.0, -12.0, 60.0], dtype=torch.float64) / 255
    degraded[:, 2] += torch.tensor([0.0, 3.0, 2.0, 1.0], dtype=torch.float64) / 255
    drawn = ramp(degraded, clean, truth, torch.tensor([1.0, 0.0]), 16.0)
    assert drawn[0].flatten().tolist() == pytest.approx([0.0, 0.25, 0.75, 1.0])
    assert drawn[1].flatten().tolist() == [1.0] * 4  # the clean picture is not known


def test_a_target_moves_the_best_probability_to_its_mean():
    target = torch.tensor([0.0, 0.1, 0.9, 1.0], dtype=torch.float64).view(1, 1, 2, 2)
    loss = Loss(iou_weight=0.0, class_balance=0.0)
    best = torch.zeros((), dtype=torch.float64, requires_grad=True)  # of p = 1/2, the mean
    (slope,) = torch.autograd.grad(mask_loss(best.expand_as(target), (target > 0).double(), loss, target), best)
    assert slope.item() == pytest.approx(0.0, abs=1e-12)
    (slope,) = torch.autograd.grad(mask_loss(best.expand_as(target), (target > 0).double(), loss), best)
    assert slope.item() < -0.1  # three of four are distorted

"""Losses with and without clean pictures."""

import numpy as np
import pytest

from spair.calibration.accuracy.measures import CAP, estimate_loss, mean_square, measure_psnr, psnr_of, required_psnr
from spair.training.evaluation.metrics import image_measures, quantize


def test_psnr_is_that_of_evaluate():
    random = np.random.default_rng(0)
    image, target = (random.random((9, 13, 3), dtype=np.float32) for _ in range(2))
    saved = quantize(image, "round")
    measured = image_measures(saved, target)
    assert measure_psnr(image, target) == pytest.approx((measured["psnr_y"], measured["psnr_rgb"]), abs=1e-6)


def test_identical_pictures_are_capped():
    assert psnr_of(0.0) == CAP == psnr_of(1e-30)


@pytest.mark.parametrize("gate", [0.02, 0.1, 0.25])
def test_the_estimate_allows_exactly_the_gate_at_the_required_psnr(gate):
    assumed = 40.0
    distance = 10 ** (-required_psnr(gate, assumed) / 10)
    assert estimate_loss(distance, 10 ** (-assumed / 10)) == pytest.approx(gate, rel=1e-9)


def test_the_estimate_is_the_loss_for_uncorrelated_errors():
    random = np.random.default_rng(1)
    truth = random.random((400, 400))
    exact = truth + 0.02 * random.standard_normal(truth.shape)
    rounded = exact + 0.003 * random.standard_normal(truth.shape)
    lost = psnr_of(mean_square(exact, truth)) - psnr_of(mean_square(rounded, truth))
    assert estimate_loss(mean_square(rounded, exact), mean_square(exact, truth)) == pytest.approx(lost, abs=0.01)


def test_what_is_not_finite_loses_all():
    assert estimate_loss(float("nan"), 1e-4) == CAP == estimate_loss(float("inf"), 1e-4)

"""Estimates are intervals around the model, for every GPU."""

import pytest

from benchmarks.estimates.fitted import fit_h100
from benchmarks.estimates.launches import ScaledMasks
from benchmarks.estimates.model import Residuals
from benchmarks.estimates.predictions import Estimate, Estimator, read_counted
from benchmarks.subjects.gpus import GPUS
from benchmarks.subjects.layers import list_dense


def test_estimates_add_up_with_both_ends():
    one, other = (Estimate.of(seconds, Residuals(0.5, 3.0), 2, share) for seconds, share in ((1e-3, 1.0), (3e-3, 0.0)))
    assert (one.low_ms, one.ms, one.high_ms) == (0.5, 1.0, 3.0)
    total = one + other
    assert (total.low_ms, total.ms, total.high_ms, total.memory_share) == pytest.approx((2.0, 4.0, 12.0, 0.25))
    assert total.launches == 4
    assert one.as_json() == {"ms": 1.0, "low_ms": 0.5, "high_ms": 3.0}


@pytest.mark.parametrize("gpu", GPUS, ids=lambda gpu: gpu.name)
@pytest.mark.parametrize("kind", ["fp32", "fp16", "int8"])
def test_every_gpu_has_an_estimate_that_grows_with_density(model, operators, gpu, kind):
    estimator, fit = Estimator(gpu), fit_h100()
    found = [
        estimator.sparse(operators, ScaledMasks("blob", 960, 1280, density, 16), kind) for density in (0.02, 0.35, 1.0)
    ]
    assert [part.ms for part in found] == sorted(part.ms for part in found)
    for part in found:
        assert part.launches == 36
        assert part.ms > 36 * fit.efficiency.launch * 1e3
        assert (part.low_ms, part.high_ms) == pytest.approx((part.ms * fit.sparse.low, part.ms * fit.sparse.high))
    rest = estimator.rest(list_dense(model, 96, 128), kind)
    assert rest.low_ms < rest.ms < rest.high_ms


def test_kernels_of_layers_issue_fewer_instructions_than_those_that_ran(operators, first_operators):
    """On the GPU that the model is fitted to, today's forms take less time than the first ones in their kernels."""
    tiles = read_counted()[90]
    assert tiles["convolve_layer.fp16.fp16.fp16.k3.c64.d64"].instructions < 64 * 75
    estimator = Estimator(next(gpu for gpu in GPUS if gpu.architecture == 90))
    masks = ScaledMasks("blob", 480, 640, 0.1, 16)
    listed, alone = (estimator.sparse(part, masks, "fp16").ms for part in (operators, first_operators))
    assert listed < alone

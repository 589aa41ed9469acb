"""Dense layers are carried over in two ways, which agree where both were fitted."""

import pytest

from benchmarks.estimates.dense import CycleRates, PeakShares
from benchmarks.subjects.gpus import Gpu
from spair.plugins.cost import Launch

GPU = Gpu("made up", "l4", 89, multiprocessors=10, clock=1.0, bandwidth=100.0, fp32=2.56, fp16=10.24, int8=20.48)
"""In a cycle a multiprocessor multiplies and adds 128 FP32 numbers, 512 in FP16, 1024 in INT8."""
WIDE = Gpu("wider", "l4", 89, multiprocessors=10, clock=1.0, bandwidth=100.0, fp32=2.56, fp16=40.96, int8=81.92)
NUMBERS = {"fp32": 64.0, "fp16": 128.0, "int8": 128.0}


@pytest.mark.parametrize(("kind", "microseconds"), [("fp32", 100), ("fp16", 50), ("int8", 25)])
def test_a_rate_is_multiply_adds_in_a_cycle(kind, microseconds):
    layer = Launch("dense", products=10 * 1000 * 64 * 100, kind=kind)
    assert CycleRates(1e-6, NUMBERS).seconds(GPU, [layer]) == pytest.approx((microseconds + 1) * 1e-6)
    assert CycleRates(1e-6, NUMBERS).seconds(WIDE, [layer]) == pytest.approx((microseconds + 1) * 1e-6)


def test_no_rate_is_above_the_peak_and_bytes_take_their_time():
    rates = CycleRates(0.0, {"fp16": 5120.0})
    assert rates.seconds(GPU, [Launch("dense", products=10 * 512 * 1000, kind="fp16")]) == pytest.approx(1e-6)
    assert rates.seconds(GPU, [Launch("dense", read=10**6, products=10, kind="fp16")]) == pytest.approx(1e-5)


def test_a_share_grows_with_the_peaks():
    layer = Launch("dense", products=10 * 512 * 1000, kind="fp16")
    shares = PeakShares(0.0, {"fp16": 0.25})
    assert shares.seconds(GPU, [layer, layer]) == pytest.approx(8e-6)
    assert shares.seconds(WIDE, [layer, layer]) == pytest.approx(2e-6)

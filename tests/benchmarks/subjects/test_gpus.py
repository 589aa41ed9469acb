"""Peaks are what their multiprocessors do in a clock, times the clock: a number with sparsity in it would stand out."""

import pytest

from benchmarks.subjects.gpus import GPUS, find_gpus

RATES = {
    "Orin": (256, 2048, 4096),
    "Ada": (256, 1024, 2048),
    "GeForce": (256, 512, 2048),
    "Hopper": (256, 4096, 8192),
    "Blackwell": (256, 8192, 16384),
}
"""Operations of a multiprocessor in a clock, a multiply-add is two: FP32, FP16 with FP32 accumulators, INT8."""
MAKE = {
    "Orin NX 16GB": ("Orin", 8, 0.918, 0.918),
    "AGX Orin 64GB": ("Orin", 16, 1.3, 1.3),
    "Thor T5000": ("Blackwell", 20, 1.575, 1.575),
    "L4": ("Ada", 58, 2.04, 2.04),
    "RTX 6000 Ada": ("Ada", 142, 2.505, 2.505),
    "RTX 4090": ("GeForce", 128, 2.52, 2.52),
    "RTX 5090": ("GeForce", 170, 2.407, 2.407),
    "H100 SXM": ("Hopper", 132, 1.98, 1.83),
    "B200": ("Blackwell", 148, 1.965, 1.855),
}
"""Rates, multiprocessors, and boost clocks in GHz: of the ordinary cores, and of the tensor cores at full load (that of
the B200 is what its sheet's numbers give, and so confirms none of them)."""


def test_every_gpu_is_checked():
    assert set(MAKE) == {gpu.name for gpu in GPUS}


@pytest.mark.parametrize("name", MAKE)
def test_peaks_are_units_times_clock(name):
    (gpu,) = find_gpus((name,))
    rates, count, core, tensor = MAKE[name]
    per_clock = RATES[rates]
    expected = [rate * count * clock / 1e3 for rate, clock in zip(per_clock, (core, tensor, tensor), strict=True)]
    assert [gpu.fp32, gpu.fp16, gpu.int8] == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("gpu", GPUS, ids=lambda gpu: gpu.name)
def test_int8_is_twice_fp16_but_four_times_on_geforce(gpu):
    """With FP32 accumulators GeForce halves the FP16 rate."""
    assert gpu.int8 / gpu.fp16 == pytest.approx(4 if MAKE[gpu.name][0] == "GeForce" else 2, rel=0.01)

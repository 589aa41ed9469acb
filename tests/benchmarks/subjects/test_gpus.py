"""Peaks are what their multiprocessors do in a clock, times the clock: a number with sparsity in it would stand out."""

import pytest

from benchmarks.subjects.gpus import GPUS, find_gpus
from spair.plugins.compiler.targets import TARGETS

RATES = {
    "Orin": (256, 2048, 4096),
    "Ada": (256, 1024, 2048),
    "GeForce": (256, 512, 2048),
    "Hopper": (256, 4096, 8192),
    "Blackwell": (256, 8192, 16384),
}
"""Operations of a multiprocessor in a clock, a multiply-add is two: FP32, FP16 with FP32 accumulators, INT8."""
MAKE = {
    "Orin NX 16GB": ("Orin", None),
    "AGX Orin 64GB": ("Orin", None),
    "Thor T5000": ("Blackwell", None),
    "L4": ("Ada", None),
    "RTX 6000 Ada": ("Ada", None),
    "RTX 4090": ("GeForce", None),
    "RTX 5090": ("GeForce", None),
    "H100 SXM": ("Hopper", 1.83),
    "B200": ("Blackwell", 1.855),
}
"""Rates, and the boost clock in GHz of the tensor cores at full load where it is not that of the ordinary cores (that
of the B200 is what its sheet's numbers give, and so confirms none of them)."""


def test_every_gpu_is_checked():
    assert set(MAKE) == {gpu.name for gpu in GPUS}


@pytest.mark.parametrize("name", MAKE)
def test_peaks_are_units_times_clock(name):
    (gpu,) = find_gpus((name,))
    rates, tensor = MAKE[name]
    clocks = (gpu.clock, tensor or gpu.clock, tensor or gpu.clock)
    expected = [rate * gpu.multiprocessors * clock / 1e3 for rate, clock in zip(RATES[rates], clocks, strict=True)]
    assert [gpu.fp32, gpu.fp16, gpu.int8] == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("gpu", GPUS, ids=lambda gpu: gpu.name)
def test_int8_is_twice_fp16_but_four_times_on_geforce(gpu):
    """With FP32 accumulators GeForce halves the FP16 rate."""
    assert gpu.int8 / gpu.fp16 == pytest.approx(4 if MAKE[gpu.name][0] == "GeForce" else 2, rel=0.01)


def test_architectures_are_those_of_the_targets():
    targets = {target.name: target.architectures for target in TARGETS}
    assert all(gpu.architecture in targets[gpu.target] for gpu in GPUS)


@pytest.mark.parametrize("kind", ["fp32", "fp16", "int8"])
def test_a_multiprocessor_takes_the_cycles_that_its_rate_asks_for(kind):
    (gpu,) = find_gpus(("AGX Orin 64GB",))
    rate = RATES["Orin"][("fp32", "fp16", "int8").index(kind)]
    assert gpu.cycles_of_products(rate * 500, kind) == pytest.approx(1000, rel=0.01)

"""Multiply-adds of the network and their budget for sparsity."""

import pytest

from spair.network import PRESETS, SPAIR, TINY
from spair.network.cost import BLOCKS, multiply_adds, parameters, parameters_by_block


def test_a_stack_of_convolutions_counts_as_its_formula():
    counts = multiply_adds(TINY, 64, 96)
    full, half, quarter = TINY.channels
    assert counts["net_r.scm.0"] == 64 * 96 * 4 * 9 * full * full
    assert counts["net_r.scm.1"] == 32 * 48 * 4 * 9 * half * half
    assert counts["net_r.scm.2"] == 16 * 24 * 4 * 9 * quarter * quarter
    pooling = counts["total"] - counts["net_l"] - counts["net_r"]  # of the clean keys, in neither network
    assert 0 < pooling < 0.01 * counts["total"]


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_what_runs_on_every_pixel_is_at_most_an_eighth_of_the_work(preset):
    counts = multiply_adds(preset)
    assert counts["net_l"] <= 0.12 * counts["total"]


def test_presets_grow_and_tiny_fits_the_size_of_a_shipped_file():
    sizes = [parameters(SPAIR(preset)) for preset in PRESETS.values()]
    assert sizes == sorted(sizes)
    assert sizes[0] * 4 < 4e6


def test_parameters_of_a_block_are_its_weights_and_biases():
    counts = parameters_by_block(SPAIR(TINY))
    assert set(counts) == {*BLOCKS, "total"} == set(multiply_adds(TINY, 64, 64))
    for scale, channels in enumerate(TINY.channels):
        assert counts[f"net_r.scm.{scale}"] == 2 * TINY.pairs[scale] * (9 * channels * channels + channels)
    assert counts["net_l"] + counts["net_r"] == counts["total"] == parameters(SPAIR(TINY))
    inner = sum(count for name, count in counts.items() if name.startswith("net_r."))
    assert 0 < inner < counts["net_r"]


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_the_shares_of_work_agree_with_the_counted_multiply_adds(preset):
    """Count the multiply-adds of Net_R on a picture.

    Its keys and values are left out, because they are computed once and not for every pixel.
    """
    model = SPAIR(preset)
    counts = multiply_adds(preset, 256, 256)
    full, half, quarter = model.net_r.work()
    assert full + half + quarter == pytest.approx(1.0)
    ratio = full / half
    layers = [model.net_r.fuse[1], model.net_r.lateral_half, model.net_r.up_full]
    expected_half = counts["net_r.scm.1"] + sum(layer.weight.numel() for layer in layers) * 128 * 128
    layers = [model.net_r.fuse[0], model.net_r.lateral_full, model.net_r.out]
    expected_full = counts["net_r.scm.0"] + sum(layer.weight.numel() for layer in layers) * 256 * 256
    assert ratio == pytest.approx(expected_full / expected_half)
    assert (expected_full + expected_half) / counts["net_r"] == pytest.approx(full + half, rel=0.01)

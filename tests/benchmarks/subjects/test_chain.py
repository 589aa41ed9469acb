"""The chain of sparse convolutions: its reference, its pairs and the floor of its time."""

import numpy as np
import pytest
import torch

from benchmarks.subjects.chain import Chain, compute_reference, count_pairs, floor_ms, make_input, measure_peak


def count_by_hand(mask):
    sites = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    return sum(
        (row + down, column + right) in sites for row, column in sites for down in (-1, 0, 1) for right in (-1, 0, 1)
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (9, 12)])
@pytest.mark.parametrize("density", [0.0, 0.2, 0.7, 1.0])
def test_pairs_are_counted_as_by_hand(size, density):
    mask = np.random.default_rng(3).random(size) < density
    assert count_pairs(mask) == count_by_hand(mask)


def test_one_pixel_is_one_pair():
    mask = np.zeros((4, 5), bool)
    mask[0, 4] = True
    assert count_pairs(mask) == 1


def test_floor_is_two_operations_a_multiply_add():
    assert floor_ms(pairs=1000, channels=64, layers=4, gigaflops=100.0) == pytest.approx(0.32768)
    assert floor_ms(0, 64, 4, 100.0) == 0.0


def test_peak_is_a_speed(tmp_path):
    assert 0.0 < measure_peak(1, tmp_path, side=16, seconds=0.0) < 1e6  # at least one product, however short


def test_reference_is_submanifold_from_the_first_layer_on():
    torch.manual_seed(0)
    chain, mask = Chain(2, 3).eval().requires_grad_(False), np.zeros((12, 12), bool)
    mask[2:9, 3:7] = True
    x, mask = make_input(2, 12, mask)
    expected = torch.from_numpy(x)
    for layer in chain.layers:
        expected = torch.relu(torch.conv2d(expected, layer.weight, layer.bias, padding=1)) * torch.from_numpy(mask)
    np.testing.assert_allclose(compute_reference(chain, x, mask), expected.numpy(), atol=1e-5)

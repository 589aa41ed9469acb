"""PyTorch operators against the readable references of `spair.plugins`."""

import numpy as np
import pytest
import torch

from spair.network.operators import affine_at_mask, masked_modulation, sparse_conv2d, sparse_non_local
from spair.plugins.masked_modulation.reference import masked_modulation as modulation_reference
from spair.plugins.sparse_conv2d.reference import sparse_conv2d as conv_reference
from spair.plugins.sparse_non_local.reference import sparse_non_local as non_local_reference

SIZES = [(1, 1), (1, 7), (5, 3), (8, 9)]
MASKS = ["none", "one pixel", "half", "all"]


def make_mask(kind: str, batch: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros((batch, 1, height, width), np.float32)
    if kind == "one pixel":
        mask[:, :, height // 2, width // 3] = 1
    elif kind == "half":
        mask[:] = np.random.default_rng(3).random(mask.shape) < 0.5
    elif kind == "all":
        mask[:] = 1
    return mask


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def as_numpy(function, *arrays: np.ndarray, **options) -> np.ndarray:
    return function(*(torch.from_numpy(array) for array in arrays), **options).numpy()


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("clean_input", [False, True], ids=["submanifold", "clean input"])
def test_sparse_conv2d_equals_its_reference(size, kind, kernel, clean_input):
    mask = make_mask(kind, 2, *size)
    arrays = (draw(2, 3, *size), mask, draw(4, 3, kernel, kernel, seed=1), draw(4, seed=2))
    for slope in (0.0, 0.1, 1.0):
        options = {"negative_slope": slope, "clean_input": clean_input}
        expected = conv_reference(*arrays, **options)
        # 75 products of unit normals: sums of about 9, float32 rounding of some 1e-6.
        np.testing.assert_allclose(as_numpy(sparse_conv2d, *arrays, **options), expected, atol=2e-5)


@pytest.mark.parametrize("kind", MASKS)
def test_an_input_that_is_masked_already_gives_the_same_bits_and_gradients(kind):
    mask = torch.from_numpy(make_mask(kind, 2, 5, 6))
    weight, bias = torch.from_numpy(draw(4, 3, 3, 3, seed=1)), torch.from_numpy(draw(4, seed=2))
    results = []
    for masked_input in (False, True):
        x = torch.from_numpy(draw(2, 3, 5, 6)).requires_grad_()
        out = sparse_conv2d(x * mask, mask, weight, bias, negative_slope=0.0, masked_input=masked_input)
        out.square().sum().backward()
        results.append((out.detach(), x.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_mixed_precision_stays_in_the_lower_one():
    mask = torch.from_numpy(make_mask("half", 1, 6, 7))
    x, weight, bias = (torch.from_numpy(a) for a in (draw(1, 3, 6, 7), draw(4, 3, 3, 3, seed=1), draw(4, seed=2)))
    with torch.autocast("cpu", torch.bfloat16):
        out = sparse_conv2d(x, mask, weight, bias)
    assert out.dtype == torch.bfloat16
    assert not out[:, :, mask[0, 0] == 0].any()


def test_sparse_conv2d_ignores_what_lies_at_clean_pixels():
    mask = make_mask("half", 1, 6, 7)
    x = draw(1, 3, 6, 7)
    poisoned = np.where(mask > 0, x, 1e6).astype(np.float32)
    weights = (draw(4, 3, 3, 3, seed=1), draw(4, seed=2))
    np.testing.assert_array_equal(
        as_numpy(sparse_conv2d, poisoned, mask, *weights), as_numpy(sparse_conv2d, x, mask, *weights)
    )


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", MASKS)
def test_masked_modulation_equals_its_reference(size, kind):
    mask, x = make_mask(kind, 2, *size), 3 + draw(2, 3, *size)
    expected = modulation_reference(x, mask)
    result = as_numpy(masked_modulation, x, mask)
    # One distorted pixel divides its rounding error (some 1e-7 of a mean of 3) by sqrt(eps) = 3e-3.
    np.testing.assert_allclose(result, expected, atol=1e-3)
    assert np.isfinite(result).all()
    np.testing.assert_array_equal(result[np.broadcast_to(mask == 0, x.shape)], x[np.broadcast_to(mask == 0, x.shape)])


def test_masked_modulation_gives_distorted_pixels_the_clean_statistics():
    mask, x = make_mask("half", 1, 40, 50), draw(1, 2, 40, 50)
    x = np.where(mask > 0, 5 * x - 7, x).astype(np.float32)
    result = as_numpy(masked_modulation, x, mask)
    distorted = np.broadcast_to(mask > 0, x.shape)[0]
    for channel in range(2):
        inside, outside = result[0, channel][distorted[channel]], x[0, channel][~distorted[channel]]
        assert inside.mean() == pytest.approx(outside.mean(), abs=1e-4)
        assert inside.std() == pytest.approx(outside.std(), rel=1e-4)


def test_masked_modulation_with_all_or_none_distorted_changes_nothing():
    x = draw(2, 3, 4, 5)
    for kind in ("none", "all"):
        np.testing.assert_array_equal(as_numpy(masked_modulation, x, make_mask(kind, 2, 4, 5)), x)


def test_an_affine_map_with_scale_1_and_shift_0_is_exact():
    x, mask = draw(1, 3, 4, 5), make_mask("half", 1, 4, 5)
    one, zero = np.ones((1, 3, 1, 1), np.float32), np.zeros((1, 3, 1, 1), np.float32)
    np.testing.assert_array_equal(as_numpy(affine_at_mask, x, mask, one, zero), x)


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("clean", MASKS)
def test_sparse_non_local_equals_its_reference(kind, clean):
    arrays = (draw(2, 4, 5, 3), draw(2, 4, 3, 4, seed=1), draw(2, 6, 3, 4, seed=2))
    masks = (make_mask(kind, 2, 5, 3), make_mask(clean, 2, 3, 4))
    expected = non_local_reference(*arrays, *masks, scale=0.5)
    np.testing.assert_allclose(as_numpy(sparse_non_local, *arrays, *masks), expected, atol=1e-5)


def test_sparse_non_local_ignores_distorted_keys():
    arrays = [draw(1, 4, 5, 3), draw(1, 4, 3, 4, seed=1), draw(1, 6, 3, 4, seed=2)]
    query_mask, key_mask = make_mask("all", 1, 5, 3), make_mask("half", 1, 3, 4)
    before = as_numpy(sparse_non_local, *arrays, query_mask, key_mask)
    arrays[1] = np.where(key_mask > 0, arrays[1], 50).astype(np.float32)
    arrays[2] = np.where(key_mask > 0, arrays[2], 50).astype(np.float32)
    np.testing.assert_array_equal(as_numpy(sparse_non_local, *arrays, query_mask, key_mask), before)

"""The definition of SparseNonLocal against a loop over keys."""

import math

import numpy as np
import pytest

from spair.plugins.sparse_non_local.reference import sparse_non_local

KINDS = ("none", "one", "half", "all")
ROUNDING = 2.0**-23
"""Relative spacing of float32, to which results are rounded at the end."""


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def make_mask(kind: str, batch: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros((batch, 1, height, width), np.float32)
    if kind == "half":
        mask[:] = np.random.default_rng(2).random(mask.shape) < 0.5
    elif kind == "one":
        mask[..., height // 2, width // 3] = 1
    elif kind == "all":
        mask[:] = 1
    return mask


def attend_naively(query, key, value, query_mask, key_mask, scale) -> np.ndarray:
    """Attend with plain numbers, one key after the other."""
    batch, channels, height, width = query.shape
    out = np.zeros((batch, value.shape[1], height, width))
    for n, y, z in np.ndindex(batch, height, width):
        if query_mask[n, 0, y, z] == 0:
            continue
        places = [place for place in np.ndindex(key.shape[2:]) if key_mask[n, 0][place] == 1]
        scores = [
            scale * math.fsum(float(query[n, c, y, z]) * float(key[n, c][place]) for c in range(channels))
            for place in places
        ]
        total = math.fsum(map(math.exp, scores))
        for d in range(value.shape[1]):
            parts = (
                math.exp(score) / total * float(value[n, d][place]) for score, place in zip(scores, places, strict=True)
            )
            out[n, d, y, z] = math.fsum(parts)
    return out


@pytest.mark.parametrize("queries", KINDS)
@pytest.mark.parametrize("clean", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (5, 3)], ids=str)
def test_it_equals_a_loop_over_keys(queries, clean, size):
    arrays = (draw(2, 4, *size), draw(2, 4, 3, 4, seed=1), draw(2, 6, 3, 4, seed=2))
    masks = (make_mask(queries, 2, *size), make_mask(clean, 2, 3, 4))
    got = sparse_non_local(*arrays, *masks, scale=0.5)
    assert got.dtype == np.float32 and got.shape == (2, 6, *size)
    # Both compute in float64; sums of values up to 4 cancel to an absolute error
    np.testing.assert_allclose(got, attend_naively(*arrays, *masks, 0.5), rtol=ROUNDING, atol=1e-12)


def test_one_clean_key_gives_its_value_whatever_its_score():
    arrays = (draw(1, 4, 5, 3), draw(1, 4, 3, 4, seed=1), draw(1, 6, 3, 4, seed=2))
    got = sparse_non_local(*arrays, make_mask("all", 1, 5, 3), make_mask("one", 1, 3, 4), scale=-3.0)
    np.testing.assert_array_equal(got, np.broadcast_to(arrays[2][:, :, 1:2, 1:2], got.shape))


def test_queries_of_zero_give_the_mean_of_the_clean_values():
    key, value, clean = draw(1, 4, 3, 4, seed=1), draw(1, 6, 3, 4, seed=2), make_mask("half", 1, 3, 4)
    got = sparse_non_local(np.zeros((1, 4, 2, 2), np.float32), key, value, make_mask("all", 1, 2, 2), clean, scale=1.0)
    mean = value[0][:, clean[0, 0] == 1].astype(np.float64).mean(1)
    np.testing.assert_allclose(got, np.broadcast_to(mean[:, None, None], got.shape), rtol=ROUNDING, atol=1e-12)


def test_scores_beyond_the_exponential_choose_the_best_key():
    """Use scores some 1e5 apart, whose exponentials no float holds."""
    query, key = 100 * draw(1, 4, 1, 2), 100 * draw(1, 4, 3, 4, seed=1)
    value, every = draw(1, 6, 3, 4, seed=2), make_mask("all", 1, 3, 4)
    got = sparse_non_local(query, key, value, make_mask("all", 1, 1, 2), every, scale=10.0)
    for column in range(2):
        best = int(np.argmax(np.einsum("c,cj->j", query[0, :, 0, column], key[0].reshape(4, -1))))
        np.testing.assert_array_equal(got[0, :, 0, column], value[0].reshape(6, -1)[:, best])


def test_distorted_keys_are_not_read():
    arrays = [draw(1, 4, 2, 3), draw(1, 4, 3, 4, seed=1), draw(1, 6, 3, 4, seed=2)]
    masks = (make_mask("all", 1, 2, 3), make_mask("half", 1, 3, 4))
    before = sparse_non_local(*arrays, *masks, scale=0.5)
    poisoned = [arrays[0], *(np.where(masks[1] == 1, part, np.nan).astype(np.float32) for part in arrays[1:])]
    np.testing.assert_array_equal(sparse_non_local(*poisoned, *masks, scale=0.5), before)

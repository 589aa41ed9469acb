"""Moments of pieces merge into those of all values, and large means do not cancel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spair.runtime.tiling.moments import Moments, split_moments


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.integers(0, 2**31))
def test_merged_moments_equal_those_of_all_values(sizes, seed):
    random = np.random.default_rng(seed)
    parts = [random.normal(5, 2, (3, size)) for size in sizes]
    total = Moments.none(3)
    for part in parts:
        if part.size:
            total = total.merged(split_moments(part, np.zeros(part.shape[1]))[0])
    together = np.concatenate(parts, axis=1)
    assert total.count == together.shape[1]
    if together.size:
        np.testing.assert_allclose(total.mean, together.mean(axis=1), rtol=1e-12)
        np.testing.assert_allclose(total.variance, together.var(axis=1), rtol=1e-9, atol=1e-12)


def direct(values: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """Count, mean and variance by their definitions; 0 for no values."""
    if not values.shape[1]:
        return 0, np.zeros(len(values)), np.zeros(len(values))
    mean = values.mean(axis=1)
    return values.shape[1], mean, ((values - mean[:, None]) ** 2).mean(axis=1)


@pytest.mark.parametrize("kind", ["clean", "distorted", "first", "last", "every other"])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_clean_and_distorted_values_are_told_apart(kind, size, offset):
    values = np.random.default_rng(0).normal(offset, 1.0, (3, size))
    mask = np.zeros(size)
    mask[{"clean": [], "distorted": slice(None), "first": 0, "last": -1, "every other": slice(None, None, 2)}[kind]] = 1
    for found, part in zip(split_moments(values, mask), (values[:, mask == 0], values[:, mask == 1]), strict=True):
        count, mean, variance = direct(part)
        assert found.count == count
        if count:
            # Values of 1e6 are stored to 1e-10; squares that are not centred first would lose 1e-4 of the variance.
            np.testing.assert_allclose(found.mean, mean, rtol=1e-14, atol=1e-14)
            np.testing.assert_allclose(found.variance, variance, rtol=1e-8, atol=1e-15)
        else:
            assert (found.variance == 0).all()


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_equal_values_have_no_variance_and_never_a_negative_one(size):
    clean, distorted = split_moments(np.full((2, size), 0.1), (np.arange(size) % 3 == 1).astype(float))
    for found in (clean, distorted):
        assert (found.m2 >= 0).all() and (found.variance <= 1e-30).all()


def test_values_far_apart_merge_in_either_order():
    random = np.random.default_rng(1)
    low, high = random.normal(0.0, 1.0, (2, 5)), random.normal(1e8, 1.0, (2, 7))
    parts = [split_moments(values, np.zeros(values.shape[1]))[0] for values in (low, high)]
    count, mean, variance = direct(np.concatenate([low, high], axis=1))
    for merged in (parts[0].merged(parts[1]), parts[1].merged(parts[0])):
        assert merged.count == count
        np.testing.assert_allclose(merged.mean, mean, rtol=1e-14)
        np.testing.assert_allclose(merged.variance, variance, rtol=1e-12)


def test_no_values_change_nothing_when_merged():
    some, nothing = split_moments(np.array([[1.0, 2.0, 4.0]]), np.zeros(3))[0], Moments.none(1)
    assert some.merged(nothing) is some and nothing.merged(some) is some
    assert nothing.merged(nothing).count == 0 and nothing.variance == 0

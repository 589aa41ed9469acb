"""Errors between graphs and PyTorch: what counts, and when a comparison is not valid."""

import numpy as np
import pytest

from spair.export.parity.measures import TOLERANCE, Errors, ModuleParity


def make_case(error: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture, the expected one, and a mask whose left half is distorted; the error is in one distorted pixel."""
    expected = np.random.default_rng(0).random((1, 3, 4, 6), np.float32)
    got, mask = expected.astype(np.float64), np.zeros((1, 1, 4, 6), np.float32)
    mask[..., :3] = 1
    got[0, 1, 2, 0] += error * (1 + abs(expected[0, 1, 2, 0]))
    return got, expected, mask


def make_parity(error: float = 0.0, **changes) -> ModuleParity:
    parity = ModuleParity(sparse=True, cases=1)
    parity.add(*make_case(error))
    for name, value in changes.items():
        setattr(parity, name, value)
    return parity


def test_errors_are_relative_and_counted_where_asked():
    got, expected, mask = make_case(0.25)
    errors = Errors()
    errors.add(got, expected, mask > 0.5)
    assert errors.count == 36  # the mask counts for each of three channels
    assert errors.max_abs == pytest.approx(0.25) and errors.total == pytest.approx(0.25)
    errors.add(got, expected, mask < 0.5)
    assert errors.count == 72 and errors.total == pytest.approx(0.25)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_fails_and_can_be_written_as_json(value):
    got, expected, mask = make_case()
    got[0, 0, 0, 0] = value
    parity = ModuleParity(sparse=True, cases=1)
    parity.add(got, expected, mask)
    assert not parity.passed
    assert parity.to_json()["masked"] == {"max_abs": 1e30, "mean_abs": 1e30}


def test_the_tolerance_is_the_border():
    assert make_parity(0.9 * TOLERANCE).passed
    assert not make_parity(1.1 * TOLERANCE).passed
    assert make_parity().to_json()["densities"] == [0.5]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"wrong_mask": 2}, "2 wrong mask pixels"),
        ({"cases": 0}, "nothing was compared"),
        ({"clean": Errors()}, "no clean pixel was compared"),
        ({"masked": Errors()}, "no distorted pixel was compared"),
    ],
)
def test_a_comparison_that_proves_nothing_does_not_pass(changes, words):
    parity = make_parity(**changes)
    assert (parity.passed, parity.problem) == (False, words)


def test_merging_keeps_the_worst_and_the_mean():
    one, other = Errors(0.1, 0.3, 6), Errors(0.2, 0.2, 4)
    one.merge(other)
    assert one.to_json() == {"max_abs": 0.2, "mean_abs": pytest.approx(0.05)}

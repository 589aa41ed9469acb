"""A figure is worse only where neither noise nor a twentieth explains it."""

import pytest

from benchmarks.common.measuring import Times
from benchmarks.common.regression import Figure, compare, keep


@pytest.mark.parametrize(
    ("before", "now", "worse"),
    [
        (Figure(2.0, 0.0), Figure(1.91, 0.0), False),
        (Figure(2.0, 0.0), Figure(1.89, 0.0), True),
        (Figure(2.0, 0.1), Figure(1.5, 0.0), False),
        (Figure(2.0, 0.0), Figure(1.5, 0.1), False),
        (Figure(2.0, 0.1), Figure(1.3, 0.1), True),
        (Figure(2.0, 0.0), Figure(9.0, 0.0), False),
    ],
)
def test_noise_is_no_regression(before, now, worse):
    assert now.is_worse_than(before) == worse


def test_a_figure_is_a_ratio_with_the_spread_of_both():
    figure = Figure.of(Times(10.0, 9.0, 11.0), Times(40.0, 38.0, 42.0))
    assert figure.value == 4.0 and figure.spread == pytest.approx(0.1 + 0.05)


def test_only_the_same_processor_and_case_are_compared(tmp_path):
    file = tmp_path / "regression.json"
    assert compare(file, "EPYC", {"a": Figure(1.0, 0.0)}) == []
    keep(file, "EPYC", {"a": Figure(2.0, 0.0)})
    keep(file, "Xeon", {"a": Figure(1.0, 0.0)})
    keep(file, "EPYC", {"b": Figure(3.0, 0.0)})
    slow = {name: Figure(1.0, 0.0) for name in "abc"}
    assert compare(file, "EPYC", slow) == ["a: 1.00 times its peer, 2.00 before", "b: 1.00 times its peer, 3.00 before"]
    assert compare(file, "Xeon", slow) == [] and compare(file, "Zen", slow) == []

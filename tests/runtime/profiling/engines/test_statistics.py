"""Statistics are trtexec's own, on made-up times."""

import pytest

from spair.runtime.profiling.engines.statistics import (
    find_percentile,
    list_warnings,
    measure_variation,
    summarize,
)


@pytest.mark.parametrize(
    ("count", "percent", "index"),
    [
        (1, 99, 0), (10, 90, 8), (10, 95, 9), (10, 99, 9), (20, 95, 18), (100, 90, 89), (100, 95, 94),
        # (1 - 0.99f) * 100 is 0.999999 in single precision: nothing is left out.
        (100, 99, 99), (200, 99, 198), (1000, 99, 990), (7, 0, 0), (7, 100, 6),
    ],
)  # fmt: skip
def test_percentiles_are_times_that_were_measured(count, percent, index):
    assert find_percentile([float(number) for number in range(count)], percent) == index


def test_a_summary_has_every_figure_of_trtexec():
    assert summarize([4.0, 1.0, 3.0, 2.0]) == {
        "min": 1.0, "max": 4.0, "mean": 2.5, "median": 2.5, "p90": 4.0, "p95": 4.0, "p99": 4.0,
    }  # fmt: skip
    assert summarize([5.0, 1.0, 1.0])["median"] == 1.0
    assert set(summarize([0.12345]).values()) == {0.1235} or set(summarize([0.12345]).values()) == {0.1234}


def test_the_variation_is_that_of_all_runs():
    assert measure_variation([1.0, 3.0]) == pytest.approx(50.0)
    assert measure_variation([2.0, 2.0]) == measure_variation([0.0]) == 0.0


CALM = {"enqueue": [0.1] * 3, "copy_in": [0.2] * 3, "compute": [1.0] * 3, "copy_out": [0.2] * 3}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"enqueue": [0.81] * 3}, "takes 0.810 ms to queue what the GPU computes in 1.000 ms"),
        ({"copy_in": [1.0] * 3}, "copying the inputs to the GPU takes 1.000 ms"),
        ({"copy_out": [1.5] * 3}, "copying the outputs from the GPU takes 1.500 ms"),
        ({"compute": [1.0, 1.0, 1.1]}, "vary by 4.6 % of their mean, more than 2.5 %; lock the clocks"),
    ],
)
def test_each_warning_stands_alone(change, match):
    (found,) = list_warnings(**{**CALM, **change})
    assert match in found


@pytest.mark.parametrize("change", [{}, {"enqueue": [0.8] * 3}, {"copy_in": [0.99] * 3}, {"compute": [1.0, 1.05, 1.0]}])
def test_at_the_limit_nothing_is_said(change):
    assert list_warnings(**{**CALM, **change}) == []

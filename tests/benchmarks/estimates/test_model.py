"""Times follow from a launch, bytes, and the busiest multiprocessor; a fit finds the numbers that made the times."""

import pytest

from benchmarks.estimates.model import Efficiency, Point, Residuals, Work, fit, leave_out, measure_residuals
from benchmarks.estimates.steps import CountedLaunch
from benchmarks.subjects.gpus import Gpu
from spair.plugins.cost import Launch

GPU = Gpu("made up", "l4", 89, multiprocessors=10, clock=1.0, bandwidth=100.0, fp32=2.56, fp16=10.24, int8=20.48)
"""In a cycle a multiprocessor multiplies and adds 128 FP32 numbers, 512 in FP16."""
WHOLE = Efficiency(launch=0.0, issue=1.0, memory=1.0)


def make_step(moved: int = 0, blocks: int = 0, instructions: float = 0.0, products: int = 0) -> CountedLaunch:
    return CountedLaunch(Launch("made", read=moved, products=products, kind="fp16"), blocks, instructions)


@pytest.mark.parametrize(
    ("step", "seconds"),
    [
        (make_step(10**9), 0.01),
        (make_step(0, blocks=10, instructions=4000), 1e-6),
        (make_step(0, blocks=11, instructions=4000), 2e-6),  # one multiprocessor has two
        (make_step(0, blocks=1, instructions=4000), 1e-6),
        (make_step(0, blocks=10, instructions=4, products=10 * 512 * 5000), 5e-6),  # tensor cores
        (make_step(10**6, blocks=10, instructions=4000), 1e-5),
        (make_step(), 0.0),
    ],
)
def test_the_longer_of_bytes_and_instructions_counts(step, seconds):
    assert Work(GPU, [step]).seconds(WHOLE) == pytest.approx(seconds)


def test_shares_stretch_and_launches_add_up():
    work = Work(GPU, [make_step(10**6), make_step(0, 10, 4000)])
    assert work.seconds(Efficiency(1e-6, 0.5, 0.25)) == pytest.approx(2e-6 + 4e-5 + 2e-6)
    assert work.memory_share(Efficiency(1e-6, 0.5, 0.25)) == pytest.approx(41 / 44)
    assert Work(GPU, []).memory_share(WHOLE) == 0.0 == Work(GPU, []).seconds(WHOLE)


def make_points(efficiency: Efficiency) -> list[Point]:
    """Make points of few and many tiles, bytes and launches."""
    steps = [
        [make_step(0, 10 * number, 40_000)] * 3 + [make_step(number * 10**6)] * few
        for number, few in ((1, 40), (10, 1), (100, 2), (1000, 20))
    ]
    return [Point(own, Work(GPU, own).seconds(efficiency)) for own in steps]


def test_a_fit_finds_what_the_times_were_made_of():
    efficiency = Efficiency(4e-6, 0.35, 0.7)
    found = fit(GPU, make_points(efficiency))
    assert (found.launch, found.issue, found.memory) == pytest.approx((4e-6, 0.35, 0.7), rel=1e-3)
    left = leave_out(GPU, make_points(efficiency), range(4))
    assert (left.low, left.high) == pytest.approx((1.0, 1.0), abs=2e-3)


def test_a_point_that_fits_to_no_other_shows_when_it_is_left_out():
    points = make_points(Efficiency(4e-6, 0.35, 0.7))
    wrong = [*points[:3], Point(points[3].steps, 2 * points[3].seconds)]
    assert leave_out(GPU, wrong, range(4)).high > 1.9


def test_residuals_hold_one_and_make_intervals():
    assert measure_residuals([1.2, 1.1]) == Residuals(1.0, 1.2)
    assert measure_residuals([0.8, 1.1]).joined(Residuals(0.9, 1.3)) == Residuals(0.8, 1.3)
    assert Residuals(0.5, 2.0).interval(3.0) == (1.5, 6.0)

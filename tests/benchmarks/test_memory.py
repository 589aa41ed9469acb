"""Peak memory stays within the stated bound, on a picture that is far larger than what is computed at a time."""

import pytest

from benchmarks.memory import bound_mb, run_case

WIDTH, HEIGHT = 7680, 4320


@pytest.mark.whole
def test_a_picture_of_33_megapixels_stays_within_the_bound(tiny_bundle):
    base = run_case(tiny_bundle, 8, 8, 0.0)["peak_mb"]
    case = run_case(tiny_bundle, WIDTH, HEIGHT, 0.02)
    assert case["tiles"]["packed"] >= 8  # something was computed in each of the blocks
    assert case["peak_mb"] <= bound_mb(base, WIDTH, HEIGHT)
    # Less than the picture in 8 bit and float32, in and out, cannot be: the measurement is one.
    assert case["peak_mb"] >= base + 30 * WIDTH * HEIGHT / 2**20

"""Percentiles are measured times, by nearest rank, of the latest frames."""

import pytest

from spair.runtime.live.latency import KEPT, Latencies


def test_without_frames_there_is_none():
    assert Latencies().find_percentile(50) is None


@pytest.mark.parametrize(
    ("count", "p50", "p99"), [(1, 1, 1), (2, 1, 2), (100, 50, 99), (101, 51, 100), (200, 100, 198)]
)
def test_percentiles_are_nearest_ranks(count, p50, p99):
    times = Latencies()
    for number in range(count, 0, -1):
        times.add(number / 1000)
    assert (times.find_percentile(50), times.find_percentile(99)) == pytest.approx((p50, p99))


def test_only_the_latest_count():
    times = Latencies()
    for number in range(KEPT + 5):
        times.add(float(number >= 5))
    assert times.find_percentile(1) == 1000.0

"""Counts are those of Triton's statistics extension."""

import asyncio
import dataclasses

import pytest

from spair.serving.errors import BadRequestError, BusyError, DeadlineError, FailedError, TooLargeError
from spair.serving.plane.queue import Outcome
from spair.serving.plane.statistics import MAX_BATCH_SIZES, Duration, ModelStatistics, find_reason, split_time
from spair.serving.plane.workers.protocol import Report

REPORT = Report(density=0.5, tiles=(1, 2, 3), stages={"net_l": 0.1}, seconds=(0.25, 1.0, 0.5))


def test_requests_pictures_and_goes_are_counted_apart():
    counts = ModelStatistics("m", "1")
    counts.execute(3, (0.5, 2.0, 1.0))
    counts.execute(3, (0.5, 2.0, 1.0))
    counts.execute(1, (0.25, 1.0, 0.5))
    counts.succeed(Outcome({}, (REPORT,), waited=0.125, computed=2.0), seconds=2.25)
    counts.fail(FailedError("x"), 0.5)
    counts.fail(BusyError("x"), 0.25)
    entry = counts.to_json()
    assert (entry["name"], entry["version"], entry["inference_count"], entry["execution_count"]) == ("m", "1", 7, 3)
    assert entry["inference_stats"] == {
        "success": {"count": 1, "ns": 2_250_000_000},
        "fail": {"count": 2, "ns": 750_000_000},
        "queue": {"count": 1, "ns": 125_000_000},
        "compute_input": {"count": 1, "ns": 500_000_000},
        "compute_infer": {"count": 1, "ns": 1_000_000_000},
        "compute_output": {"count": 1, "ns": 500_000_000},
        "cache_hit": {"count": 0, "ns": 0},
        "cache_miss": {"count": 0, "ns": 0},
    }
    assert [each["batch_size"] for each in entry["batch_stats"]] == [1, 3]
    assert entry["batch_stats"][1]["compute_infer"] == {"count": 2, "ns": 4_000_000_000}
    assert counts.tiles == {"skipped": 1, "packed": 2, "dense": 3}
    assert entry["last_inference"] > 1_600_000_000_000  # milliseconds


def test_a_model_that_was_never_asked_has_zeros_only():
    entry = ModelStatistics("m", "1").to_json()
    assert entry["last_inference"] == 0 and entry["batch_stats"] == [] and entry["memory_usage"] == []
    assert {each["count"] for each in entry["inference_stats"].values()} == {0}


def test_memory_is_told_where_it_is_known():
    assert ModelStatistics("m", "1").to_json(5)["memory_usage"] == [{"type": "CPU", "id": 0, "byte_size": 5}]


def test_clients_cannot_fill_memory_with_batch_sizes():
    counts = ModelStatistics("m", "1")
    for size in range(1, MAX_BATCH_SIZES + 50):
        counts.execute(size, (1.0, 1.0, 1.0))
    counts.execute(1, (1.0, 1.0, 1.0))
    assert len(counts.batches) == MAX_BATCH_SIZES and counts.batches[1]["compute_infer"].count == 2
    assert counts.executions == MAX_BATCH_SIZES + 50


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BusyError("x"), "REJECTED"),
        (DeadlineError("x"), "REJECTED"),
        (FailedError("x"), "BACKEND"),
        (BadRequestError("x"), "OTHER"),
        (TooLargeError("x"), "OTHER"),
        (asyncio.CancelledError(), "CANCELED"),
    ],
)
def test_failures_have_the_reasons_of_triton(error, reason):
    assert find_reason(error) == reason
    counts = ModelStatistics("m", "1")
    counts.fail(error, 0.5)
    assert {name: one.count for name, one in counts.failures.items() if one.count} == {reason: 1}


def test_time_around_the_pictures_counts_as_input():
    outcome = Outcome({}, (REPORT, REPORT), waited=9.0, computed=4.0)
    assert split_time(outcome) == (1.0, 2.0, 1.0)
    assert split_time(dataclasses.replace(outcome, computed=1.0)) == (0.0, 2.0, 1.0)


def test_durations_add_up_in_nanoseconds():
    one = Duration()
    one.add(0.1)
    one.add(0.2)
    assert one.to_json() == {"count": 2, "ns": 300_000_000}

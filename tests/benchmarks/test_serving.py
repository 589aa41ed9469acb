"""Loads count from the intended start, wrong answers are never timed, and goals follow from the measures."""

import numpy as np
import pytest

from benchmarks.serving import CLIENTS, OURS, require_same, show_results
from spair.runtime.errors import GateError
from tests.serving.load import generator
from tests.serving.load.generator import LoadReport, run_closed, run_open


def test_an_answer_that_differs_by_a_bit_is_refused():
    right = np.zeros((1, 3, 2, 2), np.uint8)
    require_same("HTTP", right.copy(), right)
    wrong = right.copy()
    wrong[0, 0, 0, 0] = 1
    for other in (wrong, right[:, :, :1]):
        with pytest.raises(GateError, match="HTTP does not give the restorer's bytes; no times are reported"):
            require_same("HTTP", other, right)


class Clock:
    """Time that passes only when somebody waits."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def test_a_stall_counts_for_every_request_that_should_have_started_meanwhile(monkeypatch):
    clock, sent = Clock(), []
    monkeypatch.setattr(generator, "time", clock)

    def send():
        clock.now += 0.001 if sent else 0.5  # one connection, whose first answer stalls until all others are late
        sent.append(clock.now)
        return 200

    report = run_open(lambda: send, rate=100.0, seconds=0.2, clients=1)
    assert report.statuses == {200: 20}
    # sent together after the stall, each has waited from its own time on, 10 ms later than the one before
    assert report.latencies == pytest.approx([0.5 - number * 0.009 for number in range(20)])


def test_requests_of_a_burst_start_together(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(generator, "time", clock)
    starts = []

    def send():
        starts.append(clock.now - 100.05)
        return 200

    run_open(lambda: send, rate=100.0, seconds=0.07, clients=1, burst=3)
    assert starts == pytest.approx([0.0] * 3 + [0.03] * 3 + [0.06])


def test_wrong_answers_and_broken_connections_are_counted_apart():
    made = []

    def make_send():
        made.append(1)

        def send():
            if len(made) == 1:
                raise ConnectionResetError("gone")
            raise AssertionError("a wrong answer")

        return send

    report = run_open(make_send, rate=1000.0, seconds=0.003, clients=1)
    assert report.statuses == {-2: 1, -1: 2}
    assert report.problems == ["ConnectionResetError: gone", "a wrong answer", "a wrong answer"]
    assert len(made) == 2, "a broken connection is made anew"


def test_a_closed_load_keeps_each_client_busy_and_counts_what_was_answered(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(generator, "time", clock)

    def send():
        clock.sleep(0.001)
        return 200

    report = run_closed(lambda: send, clients=3, seconds=0.01)
    assert report.statuses[200] == len(report.latencies) >= 3
    assert report.rate == pytest.approx(report.statuses[200] / report.seconds)


def test_percentiles_are_those_of_the_answers():
    report = LoadReport(1.0, {200: 4}, [4.0, 1.0, 3.0, 2.0])
    assert [report.percentile(share) for share in (0.0, 0.5, 0.99, 1.0)] == [1.0, 3.0, 4.0, 4.0]


def test_goals_follow_from_what_was_measured(capsys):
    latency = {
        name: {"median": 100.0 * (1 + added), "added": added}
        for name, added in (("in process", 0.0), ("HTTP", 0.05), ("gRPC", 0.12))
    }
    rates = {OURS: dict.fromkeys(CLIENTS, 10.0), "Triton": dict(zip(CLIENTS, (8.0, 10.0, 12.5), strict=True))}
    spread = {"capacity": 20.0, "p50_ms": 50.0, "p90_ms": 70.0, "p99_ms": 95.0}
    goals = show_results(latency, rates, spread)
    assert [goal.passed for goal in goals] == [True, False, False, True]
    assert [round(goal.measured, 3) for goal in goals] == [1.05, 1.12, 0.8, 1.9]
    assert "+12.0 %" in capsys.readouterr().out
    alone = show_results(latency, {OURS: rates[OURS]}, spread)
    assert alone[2].passed is None, "without Triton there is no verdict"

import json

import numpy as np
import pytest

from benchmarks.common.measuring import (
    Goal,
    Times,
    require_equal,
    take_turns,
    write_json,
)
from spair.runtime.errors import GateError


@pytest.mark.parametrize(
    ("values", "expected"),
    [([3.0], (3.0, 3.0, 3.0)), ([9.0, 1.0, 2.0], (2.0, 1.0, 9.0)), ([1.0, 4.0], (2.5, 1.0, 4.0))],
)
def test_times_are_median_least_and_most(values, expected):
    assert Times.of(values) == Times(*expected)


def test_turns_begin_with_another_contender_each_round():
    order = []
    runs = {name: lambda name=name: order.append(name) for name in "abc"}
    times = take_turns(runs, 3, settle=0.0)
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"
    assert list(times) == ["a", "b", "c"]


def test_turns_warm_up_right_before_each_timing():
    order = []
    take_turns({name: lambda name=name: order.append(name) for name in "ab"}, 2, warm_each=True, settle=0.0)
    assert "".join(order) == "ab" + "aabb" + "bbaa"


def test_each_timing_is_its_own_contender(monkeypatch):
    clock = [0.0]

    def spend(seconds):
        clock[0] += seconds

    monkeypatch.setattr("benchmarks.common.measuring.time.sleep", spend)
    times = take_turns({"slow": lambda: spend(0.5), "fast": lambda: spend(0.25)}, 3, clock=lambda: clock[0])
    assert times["slow"] == Times(*3 * [pytest.approx(500.0)])
    assert times["fast"] == Times(*3 * [pytest.approx(250.0)])


def test_no_turns_are_refused():
    with pytest.raises(ValueError, match="repeat is 0"):
        take_turns({}, 0)


EXPECTED = np.linspace(-1.0, 1.0, 24, dtype=np.float32).reshape(1, 2, 3, 4)
CLEAN = np.zeros((3, 4), bool)
CLEAN[1, 2] = True


def test_equal_results_pass_the_gate():
    assert require_equal("peer", EXPECTED.copy(), EXPECTED, CLEAN) == 0.0
    assert require_equal("peer", EXPECTED + np.float32(5e-5), EXPECTED) == pytest.approx(5e-5, rel=1e-2)


def _with(index, value):
    wrong = EXPECTED.copy()
    wrong[index] = value
    return wrong


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        pytest.param(np.zeros_like(EXPECTED), "peer differs from PyTorch by 1.00e", id="zeros"),
        pytest.param(np.roll(EXPECTED, 1, axis=3), "peer differs", id="shifted"),
        pytest.param(_with((0, 1, 2, 3), EXPECTED[0, 1, 2, 3] + 2e-4), "peer differs", id="one pixel"),
        pytest.param(_with((0, 0, 0, 0), np.nan), "differs from PyTorch by nan", id="NaN"),
        pytest.param(EXPECTED[:, :1], r"gave shape \(1, 1, 3, 4\)", id="shape"),
        pytest.param(_with((0, 0, 1, 2), EXPECTED[0, 0, 1, 2] + 1e-6), "touched 1 values of clean", id="clean pixel"),
    ],
)
def test_wrong_results_fail_the_gate(wrong, match):
    with pytest.raises(GateError, match=match):
        require_equal("peer", wrong, EXPECTED, CLEAN)


@pytest.mark.parametrize(
    ("goal", "passed", "line"),
    [
        (Goal("speed", 6.0, 6.0), True, "pass         speed: 6.00 (wanted >= 6)"),
        (Goal("speed", 6.0, 5.99), False, "FAIL         speed: 5.99 (wanted >= 6)"),
        (Goal("floor", 2.0, 2.0, at_most=True), True, "pass         floor: 2.00 (wanted <= 2)"),
        (Goal("floor", 2.0, 2.01, at_most=True), False, "FAIL         floor: 2.01 (wanted <= 2)"),
        (Goal("floor", 2.0, None, at_most=True), None, "not measured floor: (wanted <= 2)"),
    ],
)
def test_verdicts(goal, passed, line):
    assert goal.passed is passed
    assert goal.to_json()["passed"] is passed
    assert goal.line() == line


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path):
    file = tmp_path / "report.json"
    write_json(file, {"a": 1})
    with pytest.raises(ValueError):
        write_json(file, {"a": float("nan")})
    assert json.loads(file.read_text()) == {"a": 1}

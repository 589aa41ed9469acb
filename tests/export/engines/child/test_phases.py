"""Percentages from the phases of a builder."""

import json

from spair.export.engines.child.phases import PhaseProgress


def read(*events: list) -> list[str]:
    told: list[str] = []
    progress = PhaseProgress("fp16", told.append)
    for event in events:
        progress.read_line(json.dumps(event))
    return told


def test_steps_of_a_phase_become_a_percentage():
    told = read(["start", "Build", None, 4], ["step", "Build", 0], ["step", "Build", 1], ["finish", "Build"])
    assert told == ["fp16: Build, 0 %", "fp16: Build, 25 %", "fp16: Build, 50 %"]


def test_a_step_that_is_under_way_counts_by_the_phase_inside():
    told = read(
        ["start", "Build", None, 2],
        ["step", "Build", 0],
        ["start", "Timing", "Build", 4],
        ["step", "Timing", 0],
        ["start", "Tactics", "Timing", 2],
        ["step", "Tactics", 0],
        ["finish", "Tactics"],
        ["finish", "Timing"],
        ["step", "Build", 1],
    )
    assert told == [f"fp16: Build, {share} %" for share in ("0", "50", "62", "69", "62", "50", "100")]


def test_the_time_that_is_left_follows_the_pace_so_far():
    told: list[str] = []
    moments = iter([0.0, 0.0, 19.0, 100.0, 150.0, 400.0])
    progress = PhaseProgress("fp16", told.append, lambda: next(moments))
    for event in (["start", "Build", None, 40], *(["step", "Build", step] for step in (0, 1, 9, 39))):
        progress.read_line(json.dumps(event))
    assert told == [
        "fp16: Build, 0 %",
        "fp16: Build, 2 %",
        "fp16: Build, 5 %, 32 min left at this pace",
        "fp16: Build, 25 %, 8 min left at this pace",
        "fp16: Build, 100 %",
    ]


def test_equal_reports_are_not_repeated_and_phases_may_come_again():
    told = read(*[["start", "Timing", None, 1], ["finish", "Timing"]] * 2, ["start", "Other", None, 0])
    assert told == ["fp16: Timing, 0 %", "fp16: Other, 0 %"]


def test_lines_that_are_cut_off_and_steps_beyond_the_last_do_no_harm():
    told: list[str] = []
    progress = PhaseProgress("fp16", told.append)
    progress.read_line('["start", "Bui')
    assert told == []
    for event in (["start", "Build", None, 1], ["step", "Build", 7], ["step", "Absent", 1]):
        progress.read_line(json.dumps(event))
    assert told == ["fp16: Build, 0 %", "fp16: Build, 100 %"]

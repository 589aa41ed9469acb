"""Progress says frames a second and the time left, on terminals and in files."""

import io
import sys

import pytest

from spair.cli.shared.frames import FrameRate, counting_frames, watching
from tests.cli.shared.test_output import NASTY, SHOWN, Screen


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""
    now = [100.0]
    monkeypatch.setattr("spair.cli.shared.frames.time.monotonic", lambda: now[0])
    return now


def test_the_pace_is_that_of_this_run(clock):
    """Frames of an earlier run cost nothing."""
    rate = FrameRate()
    assert rate.describe(100, 200, "a.mp4") == "100 of 200 frames"
    clock[0] += 10
    assert rate.describe(120, 200, "a.mp4") == "120 of 200 frames, 2.00 frames/s, 0:00:40 left"
    clock[0] += 10
    assert rate.describe(200, 200, "a.mp4") == "200 of 200 frames, 5.00 frames/s, 0:00:00 left"


def test_each_video_has_a_pace_of_its_own_and_unknown_lengths_none_left(clock):
    rate = FrameRate()
    rate.describe(0, 9, "a.mp4")
    clock[0] += 1000
    assert rate.describe(0, None, "b.mp4") == "0 frames"
    clock[0] += 2
    assert rate.describe(3, None, "b.mp4") == "3 frames, 1.50 frames/s"


def test_without_a_terminal_a_line_comes_every_few_seconds(clock, capsys):
    with counting_frames("restoring") as (count_file, count_frame):
        for done in range(4):
            count_frame(done, 40, "folder/a.mp4")
            clock[0] += 3
        count_file(1, 2, "folder/a.mp4")
        print("chatter")
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines() == [
        "restoring a.mp4: 2 of 40 frames, 0.33 frames/s, 0:01:54 left",
        "restoring 1 of 2: a.mp4",
        "chatter",
    ]


def test_a_run_without_an_end_says_how_it_goes_every_few_seconds(clock, capsys):
    asked = []

    def describe():
        asked.append(clock[0])
        return f"{len(asked)} times"

    with watching("restoring camera:0") as watch:
        for _ in range(5):
            watch(describe)
            clock[0] += 3
        print("chatter")
    out, err = capsys.readouterr()
    assert out == "" and len(asked) == 2
    assert err.splitlines() == ["restoring camera:0: 1 times", "restoring camera:0: 2 times", "chatter"]


def test_a_run_without_an_end_is_a_line_on_a_terminal(monkeypatch, clock):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with watching("restoring camera:0") as watch:
        clock[0] += 1
        watch(lambda: "7 frames")
    assert "camera:0" in screen.getvalue()


def test_names_are_made_visible_on_a_terminal(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TERM", "xterm")
    with counting_frames("restoring") as (count_file, count_frame):
        count_frame(1, 2, f"folder/in {NASTY}")
        count_frame(2, 2, f"folder/in {NASTY}")
        count_file(1, 2, f"folder/then {NASTY}")
        count_frame(1, None, "b.mp4")
    text = screen.getvalue()
    assert isinstance(screen, io.StringIO) and f"then {SHOWN}" in text and "1/2" in text and "1 frames" in text
    assert not {"\x07", "\u202e", "\x9b", "\udcff"} & set(text)

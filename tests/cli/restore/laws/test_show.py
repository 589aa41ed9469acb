"""`spair restore --show` on a real screen: seen, closed by its user, interrupted, with and without a file."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.common.clips import read_numbers
from tests.patience import PATIENCE, wait_until
from tests.runtime.live.doubles import StreamServer, make_stream
from tests.runtime.live.window.screens import has_screen, open_screen

COMMAND = [sys.executable, "-m", "spair.cli.main", "restore"]


@pytest.fixture(scope="module")
def screen(tmp_path_factory):
    if not has_screen():
        pytest.skip("a program is not installed, Xvfb or xdotool, or tkinter is not")
    with open_screen(tmp_path_factory.mktemp("screen"), 320, 240) as screen:
        yield screen


def show(bundle, screen, words, end):
    """Show a stream that hangs after its frames, as a camera that goes on for ever, and end it once it is seen."""
    with StreamServer(make_stream([5] * 20, size=(64, 48)), ends=False) as server:
        command = [*COMMAND, str(bundle), f"tcp://127.0.0.1:{server.port}", "--show", "--json", *words]
        environment = {**os.environ, "DISPLAY": screen.name}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            wait_until(lambda: len(np.unique(screen.read())) > 10, "the frame is on the screen")
            end(process)
            printed, told = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in told, told
    return process.returncode, json.loads(printed)


def test_closing_the_window_ends_the_run(tiny_bundle, screen):
    code, report = show(tiny_bundle, screen, [], lambda process: screen.quit())
    assert (code, report["output"], report["stopped"]) == (0, "window", "closed") and report["restored"] >= 1


def test_a_file_beside_the_window_is_finished(tiny_bundle, screen, tmp_path):
    out = tmp_path / "a.mkv"
    code, report = show(tiny_bundle, screen, ["--out", str(out)], lambda process: screen.quit())
    assert (code, report["output"], report["stopped"]) == (0, str(out), "closed")
    assert len(read_numbers(out)) == report["restored"] and [one.name for one in tmp_path.iterdir()] == ["a.mkv"]


def test_a_signal_closes_the_window_as_well(tiny_bundle, screen, tmp_path):
    code, report = show(
        tiny_bundle, screen, ["--out", str(tmp_path / "a.mkv")], lambda process: process.send_signal(signal.SIGINT)
    )
    assert (code, report["stopped"]) == (130, "interrupted")
    wait_until(lambda: not screen.read().any(), "the window is closed")


def test_without_a_screen_nothing_is_written(spair, tiny_bundle, tmp_path, monkeypatch):
    pytest.importorskip("tkinter", reason="tkinter is not installed")
    monkeypatch.delenv("DISPLAY", raising=False)
    words = ["restore", tiny_bundle, "camera:0", "--show", "--out", tmp_path / "a.mkv"]
    spair(*words).refused("--show cannot open a window: there is no screen")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["clip.mp4", "--out", "out", "--show"], "--show is for cameras and streams; leave it out"),
        (["clip.mp4"], "missing option '--out'"),
        (["camera:0"], "missing option '--out' or '--show'"),
    ],
)
def test_what_goes_nowhere_is_refused(spair, tiny_bundle, words, match):
    spair("restore", tiny_bundle, *words).refused(match)

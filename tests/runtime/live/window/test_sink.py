"""A window shows frames on a real screen, closes by itself or by its user, and says why it cannot open."""

import os
import threading

import numpy as np
import pytest

from spair.runtime.errors import UserError
from spair.runtime.live.restoring import LiveOptions, LiveRestoration
from spair.runtime.live.sinks import LiveFrame, VideoSink
from spair.runtime.live.window.sink import SHARE, WindowSink, shrink
from tests.patience import PATIENCE, wait_until
from tests.runtime.live.doubles import Frames, open_in_turn
from tests.runtime.live.window.screens import has_screen, open_screen
from tests.runtime.video.doubles import leave_alone

COLOR = (200, 40, 90)


@pytest.fixture(scope="module")
def screen(tmp_path_factory):
    if not has_screen():
        pytest.skip("a program is not installed, Xvfb or xdotool, or tkinter is not")
    with open_screen(tmp_path_factory.mktemp("screen"), 640, 480) as screen:
        yield screen


@pytest.fixture
def display(screen, monkeypatch):
    monkeypatch.setenv("DISPLAY", screen.name)
    return screen


def make_frame(color=COLOR, size=(60, 80), type=np.uint8):
    pixels = np.zeros((*size, 3), type)
    pixels[:] = np.array(color) * (np.iinfo(type).max // 255)
    return LiveFrame(7, 0.0, None, pixels, pixels, None)


def count(display, color):
    """Return the number of pixels of a colour on the screen."""
    return int((display.read() == color).all(axis=2).sum())


@pytest.mark.parametrize("type", [np.uint8, np.uint16])
def test_the_newest_frame_is_seen_in_its_size(display, type):
    with WindowSink("yard restored") as window:
        assert window.write(make_frame((10, 250, 30), type=type)) == [7]
        window.write(make_frame(type=type))
        wait_until(lambda: count(display, COLOR) == 60 * 80, "the frame is on the screen")
        assert count(display, (10, 250, 30)) == 0
    assert count(display, COLOR) == 0, "the window is closed"


def test_a_frame_larger_than_the_screen_is_shown_whole(display):
    with WindowSink("yard restored") as window:
        window.write(make_frame(size=(2000, 1000)))
        height = int(SHARE * 480)
        wait_until(lambda: count(display, COLOR) == height * (height // 2), "the frame is on the screen")


def test_a_closed_window_stops_a_run_whose_file_is_finished(display, tmp_path):
    """The source hangs after its frames, as a camera that sees nothing new."""
    left = [1, 2]

    def hang(stop):
        if left:
            left.pop()
        else:
            wait_until(stop, "the run stopped")

    path = tmp_path / "a.mkv"
    with WindowSink("camera:0 restored") as window:
        reader = Frames([3, 4, 5], taken=hang)
        run = LiveRestoration(
            leave_alone, "camera:0", open_in_turn(reader), VideoSink(str(path)), LiveOptions(), window=window
        )
        window.call_when_closed(run.stop)
        closing = threading.Thread(
            target=lambda: (wait_until(lambda: run.report()["restored"], "a frame"), display.quit())
        )
        closing.start()
        run.run()
        closing.join(PATIENCE)
        window.write(make_frame())  # nobody looks any more, and nothing fails
    assert run.report()["stopped"] == "closed" and path.is_file()


def test_a_window_that_was_closed_before_stops_a_run_at_once(display):
    with WindowSink("camera:0 restored") as window:
        display.quit()
        run = LiveRestoration(leave_alone, "camera:0", open_in_turn(Frames([3])), window, LiveOptions())
        called = threading.Event()
        window.call_when_closed(lambda: (run.stop(), called.set()))
        assert called.wait(PATIENCE)
        run.run()
    assert (run.report()["stopped"], run.report()["restored"]) == ("closed", 0)


def test_without_a_screen_one_sentence_says_what_to_do(monkeypatch):
    pytest.importorskip("tkinter", reason="tkinter is not installed")
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(
        UserError, match=r"--show cannot open a window: there is no screen .*leave --show out and give --out"
    ):
        WindowSink("yard")


def test_without_tkinter_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "tkinter.py").write_text("raise ImportError('no module _tkinter')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(UserError, match="tkinter cannot be imported .*sudo apt-get install python3-tk"):
        WindowSink("yard")


@pytest.mark.parametrize(
    ("size", "screen_size", "expected"),
    [
        ((48, 32), (100, 100), (48, 32)),
        ((90, 90), (100, 100), (90, 90)),
        ((1000, 10), (100, 100), (90, 1)),
        ((10, 1000), (100, 200), (1, 180)),
        ((3840, 2160), (1920, 1080), (1728, 972)),
    ],
)
def test_frames_shrink_in_proportion_where_they_must(size, screen_size, expected):
    pixels = np.full((size[1], size[0], 3), 77, np.uint8)
    smaller = shrink(pixels, *screen_size)
    assert smaller.shape == (expected[1], expected[0], 3) and abs(smaller.astype(int) - 77).max() <= 1

"""Raw frames of a pipe, and a CSI camera through a stand-in for GStreamer's program."""

import os
import sys

import numpy as np
import pytest

from spair.runtime.errors import UserError
from spair.runtime.live.sources.addresses import parse_source
from spair.runtime.live.sources.frames import LostError
from spair.runtime.live.sources.raw import CsiReader, RawReader, make_csi_command

PROGRAM = """#!{python}
import os, sys, time
size = next(word for word in sys.argv if "NVMM" in word)
width, height = (int(size.partition(name)[2].partition(",")[0]) for name in ("width=", "height="))
open({pid!r}, "w").write(str(os.getpid()))
for number in range({frames}):
    os.write(1, bytes([number, 10, 20, 255]) * (width * height))
{end}
"""


@pytest.fixture
def gst(tmp_path, monkeypatch):
    """Puts a stand-in for gst-launch-1.0 on the path."""

    def install(frames, end):
        (tmp_path / "bin").mkdir(exist_ok=True)
        program = tmp_path / "bin" / "gst-launch-1.0"
        pid = tmp_path / "pid"
        program.write_text(PROGRAM.format(python=sys.executable, pid=str(pid), frames=frames, end=end))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
        return pid

    return install


def read_pipe(data, name, **options):
    reading, writing = os.pipe()
    try:
        os.write(writing, data)
        os.close(writing)
        with RawReader(reading, parse_source(name), 3, lambda: 4.5, lambda: False, **options) as reader:
            return list(reader), reader.finite
    finally:
        os.close(reading)


def test_frames_of_a_pipe_are_its_bytes():
    pixels = np.arange(2 * 5 * 7 * 3, dtype=np.uint8).reshape(2, 5, 7, 3)
    frames, finite = read_pipe(pixels.tobytes() + b"cut", "pipe:size=7x5,rate=24")
    assert finite and [one.time for one in frames] == [4.5, 4.5] and frames[0].rate == 24
    for one, expected in zip(frames, pixels, strict=True):
        assert np.array_equal(one.frame.to_ndarray(format="rgb24"), expected)


def test_a_silent_pipe_is_lost(monkeypatch):
    monkeypatch.setattr("spair.runtime.live.sources.raw.READ_SECONDS", 0.2)
    reading, writing = os.pipe()
    try:
        with pytest.raises(LostError, match="it wrote nothing"):
            next(iter(RawReader(reading, parse_source("pipe:size=7x5"), 3, lambda: 0.0, lambda: False)))
    finally:
        os.close(reading)
        os.close(writing)


def test_the_command_of_a_csi_camera_is_whole():
    assert " ".join(make_csi_command(1, (640, 480), 60)) == (
        "gst-launch-1.0 -q nvarguscamerasrc sensor-id=1 ! "
        "video/x-raw(memory:NVMM),width=640,height=480,framerate=60/1 ! nvvidconv ! video/x-raw,format=RGBA ! "
        "queue max-size-buffers=1 leaky=downstream ! fdsink sync=false"
    )


def test_a_csi_camera_gives_frames_and_its_program_is_ended(gst):
    pid = gst(3, "time.sleep(1000)")
    with CsiReader(parse_source("csi:0,size=9x5,rate=25"), lambda: 0.0, lambda: False) as reader:
        frames = iter(reader)
        reds = [next(frames).frame.to_ndarray(format="rgb24") for _ in range(3)]
    assert [tuple(red[4, 8]) for red in reds] == [(0, 10, 20), (1, 10, 20), (2, 10, 20)]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_program_that_does_not_end_is_killed(gst, monkeypatch):
    monkeypatch.setattr("spair.runtime.live.sources.raw._END_SECONDS", 0.1)
    pid = gst(1, "time.sleep(1000)")
    text = (pid.parent / "bin" / "gst-launch-1.0").read_text()
    ignoring = text.replace("size = ", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsize = ")
    (pid.parent / "bin" / "gst-launch-1.0").write_text(ignoring)
    with CsiReader(parse_source("csi:0,size=9x5"), lambda: 0.0, lambda: False) as reader:
        next(iter(reader))
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_the_last_words_of_the_program_say_why(gst):
    gst(1, "sys.exit('ERROR: no cameras\\navailable')")
    with CsiReader(parse_source("csi:0,size=9x5"), lambda: 0.0, lambda: False) as reader:
        frames = iter(reader)
        next(frames)
        with pytest.raises(LostError, match=r"gst-launch-1.0 ended: ERROR: no cameras available"):
            next(frames)


def test_without_the_program_one_sentence_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="csi:0 needs the program gst-launch-1.0.*apt-get install gstreamer1.0-tools"):
        CsiReader(parse_source("csi:0"), lambda: 0.0, lambda: False)

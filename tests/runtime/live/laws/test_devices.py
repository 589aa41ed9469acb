"""Real cameras, where there are any"""

import shutil
import time
from itertools import islice
from pathlib import Path

import pytest

from spair.runtime.live.sources.addresses import parse_source
from spair.runtime.live.sources.capture import make_opener
from tests.runtime.live.doubles import ALL


def read_some(name):
    opener = make_opener(parse_source(name), ALL, time.monotonic)
    with opener(lambda: False) as reader:
        return list(islice(reader, 5))


def test_a_camera_of_v4l2_gives_frames_at_growing_times():
    if not Path("/dev/video0").exists():
        pytest.skip("there is no camera /dev/video0")
    times = [one.time for one in read_some("camera:0")]
    assert times == sorted(times) and len(times) == 5


def test_a_csi_camera_gives_frames_of_the_size_that_was_asked_for():
    if shutil.which("gst-launch-1.0") is None or not Path("/tmp/argus_socket").exists():
        pytest.skip("there is no camera of CSI")
    assert {(one.frame.width, one.frame.height) for one in read_some("csi:0,size=1280x720")} == {(1280, 720)}

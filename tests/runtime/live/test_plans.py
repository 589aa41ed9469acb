"""Live frames are encoded at once, in 4:2:0, with times that grow."""

from fractions import Fraction

import av
import numpy as np
import pytest

from spair.runtime.errors import UserError
from spair.runtime.live.plans import TICK, place_frame, plan_live
from spair.runtime.live.sources.frames import CapturedFrame
from spair.runtime.video.options import VideoOptions


def capture(format, rate=25):
    pixels = np.full((67, 65, 3), 90, np.uint8)
    frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(
        format=format, threads=1
    )  # several threads spoil 10 bits at odd widths
    frame.pts, frame.time_base = 0, TICK
    return CapturedFrame(frame, 0.0, Fraction(rate))


@pytest.mark.parametrize(
    ("format", "codec", "expected"),
    [
        ("yuvj422p", None, ("h264", "yuv420p")),
        ("rgb24", None, ("h264", "yuv420p")),
        ("yuv444p", "hevc", ("hevc", "yuv420p")),
        ("gray", None, ("h264", "yuv420p")),
        ("yuv422p10le", None, ("hevc", "yuv420p10le")),
    ],
)
def test_colour_differences_become_420(format, codec, expected):
    encoding, converter = plan_live(capture(format), "a", VideoOptions(codec), ".mp4")
    assert (encoding.codec.name, encoding.format) == expected
    rgb = converter.to_rgb(converter.settle(capture(format).frame))
    largest = np.iinfo(rgb.dtype).max
    # Two roundings, of brightness and of colour differences, which RGB enlarges by up to 2.
    assert np.abs(rgb.astype(float) / largest - 90 / 255).max() <= 4 / 255


def test_no_frame_waits_for_later_ones():
    options = dict(plan_live(capture("rgb24", 10), "a", VideoOptions(crf=30), ".mp4")[0].options)
    assert options == {"crf": "30", "preset": "veryfast", "tune": "zerolatency", "g": "20"}
    assert dict(plan_live(capture("rgb24"), "a", VideoOptions(preset="slow"), ".mp4")[0].options)["preset"] == "slow"
    assert "g" not in dict(plan_live(capture("rgb24"), "a", VideoOptions("ffv1"), ".mkv")[0].options)


def test_a_codec_that_the_place_does_not_hold_is_refused():
    with pytest.raises(UserError, match="holds no vp9"):
        plan_live(capture("rgb24"), "a", VideoOptions("vp9"), ".mov")


def test_times_are_those_of_capture_and_grow():
    frame = capture("yuv420p").frame
    assert place_frame(frame, 0.0, Fraction(25), None) == 0
    assert (frame.time_base, frame.duration) == (TICK, 3600)
    assert place_frame(frame, 0.5, Fraction(25), 0) == frame.pts == 45_000
    assert place_frame(frame, 0.5, Fraction(25), 45_000) == 45_090, "a millisecond later, for Matroska"

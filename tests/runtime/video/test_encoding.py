"""Segments hold all frames, and say how to put them together."""

from fractions import Fraction

import av
import numpy as np
import pytest

from benchmarks.common.clips import read_numbers, write_clip
from spair.runtime.video.colour import FULL, LIMITED
from spair.runtime.video.encoding import (
    FIRST_TICK,
    RestoredFrame,
    SegmentWriter,
    plan_encoding,
)
from spair.runtime.video.options import VideoOptions
from spair.runtime.video.reading import VideoSource, read_facts
from spair.runtime.video.segments import keep_segments
from tests.runtime.video.doubles import ALL


def write_segments(clip, folder, options=None, suffix=".mkv"):
    facts = read_facts(clip, ALL)
    encoding = plan_encoding(facts, options or VideoOptions(preset="ultrafast"), suffix)
    writer = SegmentWriter(folder, encoding)
    with VideoSource(facts, encoding.format, encoding.depth, encoding.colour) as source:
        for frame in source.frames():
            writer.write(RestoredFrame(frame, frame.pixels, 0.25))
    writer.finish()
    writer.finish()
    return encoding


@pytest.fixture
def short_segments(monkeypatch):
    monkeypatch.setattr("spair.runtime.video.encoding.SEGMENT_FRAMES", 5)


def test_frames_fill_segments_in_order(tmp_path, short_segments):
    times = [1000, 1040, 1080, 1190, 1200, 1300, 1301, 1302, 1400, 1500, 1600, 1700]
    clip = write_clip(tmp_path / "a.mkv", times=times, time_base=Fraction(1, 1000))
    with keep_segments(tmp_path / "b.mkv", None) as folder:
        write_segments(clip, folder, VideoOptions(preset="medium"))
        assert [segment.frames for segment in folder.segments] == [5, 5, 2]
        assert [segment.start for segment in folder.segments] == [1000, 1300, 1600]
        assert [segment.density for segment in folder.segments] == [1.25, 1.25, 0.5]
        numbers, found = [], []
        for segment in folder.segments:
            path = folder.place / segment.file
            assert path.stat().st_size == segment.size
            numbers += read_numbers(path)
            with av.open(str(path)) as container:
                for frame in container.decode(video=0):
                    found.append(frame.pts * frame.time_base * 1000 - FIRST_TICK + segment.start)
    assert (numbers, found) == (list(range(12)), times)


@pytest.mark.parametrize(
    ("codec", "format", "size", "suffix", "given", "kept"),
    [
        ("ffv1", "yuv420p10le", (64, 64), ".mp4", "hevc", "yuv420p10le"),
        ("ffv1", "yuv420p10le", (48, 32), ".mp4", "h264", "yuv420p10le"),
        ("ffv1", "yuv422p", (48, 32), ".mov", "h264", "yuv422p"),
        ("ffv1", "bgr0", (48, 32), ".mkv", "h264", "yuv444p"),
        ("mjpeg", "yuvj420p", (48, 32), ".webm", "vp9", "yuv420p"),
    ],
)
def test_codec_and_format_follow_the_input(tmp_path, codec, format, size, suffix, given, kept):
    clip = write_clip(tmp_path / "a.mkv", 3, codec=codec, format=format, size=size, options={"qscale": "2"})
    encoding = plan_encoding(read_facts(clip, ALL), VideoOptions(), suffix)
    assert (encoding.codec.name, encoding.format) == (given, kept)


def test_rgb_becomes_samples_of_the_limited_range_and_its_matrix_is_named(tmp_path):
    clip = write_clip(tmp_path / "a.mkv", 3, codec="ffv1", format="bgr0", options={})
    facts = read_facts(clip, ALL)
    colour = plan_encoding(facts, VideoOptions(), ".mkv").colour
    assert (facts.colour.range, colour.range, colour.named_matrix) == (FULL, LIMITED, 6)
    with keep_segments(tmp_path / "b.mkv", None) as folder:
        write_segments(clip, folder, VideoOptions("ffv1"))
        with av.open(str(clip)) as before, av.open(str(folder.place / "000000.nut")) as after:
            old, new = next(before.decode(video=0)), next(after.decode(video=0))
        there, back = old.to_ndarray(format="rgb24"), new.to_ndarray(format="rgb24", src_colorspace=6)
        # Three roundings, of which luma's and those of the differences reach a channel up to twofold.
        assert np.abs(there.astype(int) - back).max() <= 4


@pytest.mark.parametrize(
    ("format", "size", "expected"),
    [("yuv420p", (49, 33), (50, 34)), ("yuv422p", (49, 33), (50, 33)), ("yuv444p", (49, 33), (49, 33))],
)
def test_odd_sides_are_padded_where_the_codec_needs_it(tmp_path, format, size, expected):
    clip = write_clip(tmp_path / "a.mkv", 3, codec="ffv1", format=format, size=size, options={})
    with keep_segments(tmp_path / "b.mkv", None) as folder:
        write_segments(clip, folder, VideoOptions("h264", crf=0, preset="ultrafast"))
        with av.open(str(clip)) as before, av.open(str(folder.place / "000000.nut")) as after:
            old, new = next(before.decode(video=0)), next(after.decode(video=0))
    assert (new.width, new.height) == expected
    luma = [np.frombuffer(one.planes[0], np.uint8).reshape(one.height, -1)[:, : one.width] for one in (old, new)]
    assert np.array_equal(luma[1][: size[1], : size[0]], luma[0])
    assert np.array_equal(luma[1][: size[1], -1], luma[0][:, -1])

"""Frames come with their times, and what is damaged is known."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.common.clips import read_number, write_clip
from spair.runtime import UserError
from spair.runtime.video.reading import VideoSource, read_facts
from tests.runtime.video.doubles import ALL, write_clip_with_sound

TIMES = [1000, 1512, 2024, 2600, 5000, 5100, 5200, 9000]
"""Times in ticks of 1/12800 seconds: a late start and no even pace."""


def read_frames(path, skip=0, **options):
    facts = read_facts(path, ALL)
    with VideoSource(facts, "yuv420p", 8, facts.colour) as source:
        return list(source.frames(skip)), source


def damage(path, number, part):
    """Overwrite a part of the packet of a frame."""
    with av.open(str(path)) as container:
        packets = sorted((one.pts, one.pos, one.size) for one in container.demux(video=0) if one.size)
    _, place, size = packets[number]
    content = bytearray(path.read_bytes())
    if part == "whole":
        content[place : place + size] = bytes(size)
    else:
        start = place + size // 2
        content[start : place + size] = np.random.default_rng(1).bytes(place + size - start)
    path.write_bytes(content)


def test_frames_have_numbers_times_and_pixels(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", times=TIMES, time_base=Fraction(1, 12800))
    frames, source = read_frames(clip)
    facts = read_facts(clip, ALL)
    assert [frame.time * facts.time_base * 12800 for frame in frames] == TIMES
    assert [frame.number for frame in frames] == [read_number(frame.frame) for frame in frames] == list(range(8))
    assert {(frame.pixels.shape, frame.pixels.dtype.name) for frame in frames} == {((32, 48, 3), "uint8")}
    assert (source.lost_after, source.retimed, source.interlaced) == (0, 0, 0)


def test_frames_at_the_beginning_can_be_left_out(tmp_path):
    clip = write_clip(tmp_path / "a.mkv", 12)
    whole, _ = read_frames(clip)
    rest, _ = read_frames(clip, skip=7)
    assert [(one.number, one.time) for one in rest] == [(one.number, one.time) for one in whole[7:]]


def test_facts_are_those_of_the_file(tmp_path):
    def prepare(container, stream):
        stream.set_display_rotation(90)
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.codec_context.colorspace, stream.codec_context.color_range = 1, 2

    clip = write_clip(tmp_path / "a.mp4", 12, size=(64, 48), prepare=prepare)
    facts = read_facts(clip, ALL)
    assert (facts.width, facts.height, facts.frames, facts.counted, facts.codec) == (64, 48, 12, True, "h264")
    assert (facts.rate, facts.aspect, facts.colour.matrix, facts.colour.range) == (25, Fraction(4, 3), 1, 2)
    with av.open(str(clip)) as container:
        shown = next(container.decode(video=0)).side_data["DISPLAYMATRIX"]
    assert facts.display_matrix == struct.unpack("=9i", bytes(shown))
    unknown = read_facts(write_clip(tmp_path / "a.mkv", 12), ALL)
    assert (unknown.frames, unknown.counted, unknown.display_matrix, unknown.aspect) == (12, False, None, None)


@pytest.mark.parametrize("number", [0, 3, 6])
def test_a_damaged_frame_is_marked_and_the_others_are_not(tmp_path, number):
    clip = write_clip(tmp_path / "a.mp4", 12, size=(160, 96), options={"crf": "5", "bf": "0"})
    damage(clip, number, "half")
    frames, _ = read_frames(clip)
    assert [frame.number for frame in frames if frame.damaged] == [number] and len(frames) == 12


def test_a_frame_that_cannot_be_decoded_is_counted_and_the_times_stay(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", 12, size=(160, 96), options={"crf": "5", "bf": "0"})
    whole, _ = read_frames(clip)
    damage(clip, 5, "whole")
    frames, source = read_frames(clip)
    assert [frame.time for frame in frames] == [frame.time for frame in whole if frame.number != 5]
    assert [frame.lost_before for frame in frames] == [0] * 5 + [1] + [0] * 5 and source.lost_after == 0


def test_losses_at_the_end_are_counted_apart(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", 12, size=(160, 96), options={"crf": "5", "bf": "0"})
    damage(clip, 11, "whole")
    frames, source = read_frames(clip)
    assert len(frames) == 11 and source.lost_after == 1


def test_frames_without_times_get_some(tmp_path):
    clip = write_clip(tmp_path / "a.avi", 6, codec="mpeg4", options={"b": "400000"})
    frames, _ = read_frames(clip)
    times = [frame.time for frame in frames]
    assert sorted(set(times)) == times and len(times) == 6


def test_cover_pictures_are_not_the_video(tmp_path):
    clip = write_clip_with_sound(tmp_path / "a.mp4")
    facts = read_facts(clip, ALL)
    assert facts.index == 0 and facts.codec == "h264"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_text("words"), "it is no video; expected MP4, MOV, Matroska"),
        (lambda path: path.write_bytes(b"\0\0\0\x18ftypisom" + bytes(64)), "cannot read .*; expected a video that"),
        (lambda path: None, "it is no video"),
        (lambda path: path.write_bytes(write_clip(path, 4).read_bytes()[:900]), "cannot read "),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence(tmp_path, make, words):
    make(tmp_path / "a.mp4")
    with pytest.raises(UserError, match=words):
        read_facts(tmp_path / "a.mp4", ALL)


def test_a_video_without_a_decodable_frame_is_refused(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", 3, size=(96, 64), options={"crf": "5", "bf": "0"})
    for number in range(3):
        damage(clip, number, "whole")
    with pytest.raises(UserError, match=r"no frame of its video \(h264\) can be decoded"):
        read_facts(clip, ALL)


def test_sound_alone_is_refused(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        frame.sample_rate = 48000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    with pytest.raises(UserError, match="it holds no video that FFmpeg decodes, only other streams"):
        read_facts(tmp_path / "a.mp4", ALL)


def test_large_frames_are_refused_before_they_are_decoded(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", 2)
    with pytest.raises(UserError, match="frames of 48x32 are more than 1535 pixels; raise the limit with --max-pixels"):
        read_facts(clip, 1535)
    assert read_facts(clip, 1536).width == 48


def test_interlaced_frames_are_refused_with_the_command_that_mends_them(tmp_path):
    options = {"flags": "+ildct", "x264-params": "tff=1"}
    clip = write_clip(tmp_path / "a b.mp4", 4, size=(64, 64), options=options)
    with pytest.raises(UserError, match="its frames are interlaced.*ffmpeg -i '.*a b.mp4' -vf bwdif"):
        read_facts(clip, ALL)


def test_a_change_of_size_ends_with_a_sentence(tmp_path):
    """Two clips one behind the other, as a transport stream allows."""
    parts = [write_clip(tmp_path / f"{side}.ts", 3, size=(side, 48)) for side in (64, 96)]
    joined = tmp_path / "a.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(UserError, match="frame 3 is 96x48 after frames of 64x48; cut the video there"):
        read_frames(joined)


def test_a_name_is_never_taken_for_a_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "plain.mp4", 2).rename(tmp_path / "concat:http:%d.mp4")
    assert read_facts(Path("concat:http:%d.mp4"), ALL).frames == 2

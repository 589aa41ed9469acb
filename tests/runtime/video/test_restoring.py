"""A restored video has the frames, times, colours and other streams of its input."""

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from benchmarks.common.clips import SQUARE, burn_number, draw_frame, list_packets, read_numbers, read_times, write_clip
from spair.runtime import UserError
from tests.runtime.video.doubles import brighten, give, leave_alone, restore, write_clip_with_sound
from tests.runtime.video.test_reading import damage

CAUSES = {"digest": "abc"}


@pytest.fixture
def short_segments(monkeypatch):
    monkeypatch.setattr("spair.runtime.video.encoding.SEGMENT_FRAMES", 5)


def read_planes(path):
    """Return the samples of all frames."""
    with av.open(str(path)) as container:
        return [
            [
                np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width * (2 if "10" in name else 1)]
                for plane in frame.planes
            ]
            for frame in container.decode(video=0)
            for name in [frame.format.name]
        ]


def are_equal(first, second):
    pairs = [pair for frames in zip(first, second, strict=True) for pair in zip(*frames, strict=True)]
    return len(pairs) > 0 and all(np.array_equal(*pair) for pair in pairs)


@pytest.mark.parametrize("out", ["b.mp4", "b.mov", "b.mkv"])
def test_every_frame_is_restored_and_stays_at_its_time(tmp_path, short_segments, out):
    clip = write_clip(tmp_path / "a.mp4", 12)
    record = restore(clip, tmp_path / out, brighten)
    assert read_numbers(tmp_path / out) == list(range(12))
    assert read_times(tmp_path / out) == read_times(clip)
    assert (record.frames, record.fps, record.codec, record.width, record.height) == (12, 25.0, "h264", 48, 32)
    assert record.density == pytest.approx(0.25) and list(record.timings) == ["decode", "restore", "encode", "join"]
    with av.open(str(clip)) as before, av.open(str(tmp_path / out)) as after:
        for old, new in zip(before.decode(video=0), after.decode(video=0), strict=True):
            light = [frame.to_ndarray(format="gray")[3 * SQUARE + 2 :].mean() for frame in (old, new)]
            assert light[1] > light[0] + 40
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", out]


def draw_still(number, width, height):
    """Draw a picture in which the number alone changes, so that H.264 decodes frames before they are shown."""
    return burn_number(draw_frame(0, width, height), number)


@pytest.mark.parametrize("out", ["b.mp4", "b.mov"])
@pytest.mark.parametrize("preset", ["ultrafast", "medium"])
def test_uneven_times_are_kept_exactly(tmp_path, monkeypatch, out, preset):
    monkeypatch.setattr("spair.runtime.video.encoding.SEGMENT_FRAMES", 7)
    times = [1003, 1512, 2000, 2001, 6000, 6512, 6513, 90000, 90100, 90200, 90300, 500000]
    options = {"bf": "3", "crf": "9"}
    clip = write_clip(tmp_path / "a.mp4", times=times, time_base=Fraction(1, 12800), options=options, draw=draw_still)
    restore(clip, tmp_path / out, preset=preset)
    found = read_times(tmp_path / out)
    assert found == read_times(clip) and found[1] - found[0] == Fraction(509, 12800)
    assert read_numbers(tmp_path / out) == list(range(12))
    order = [time for time, _ in list_packets(tmp_path / out, "video")]
    assert sorted(order) == found and (order != found) is (preset == "medium")


def test_times_of_matroska_are_whole_milliseconds(tmp_path):
    times = [0, 33, 34, 1000, 1001, 5000]
    clip = write_clip(tmp_path / "a.mkv", times=times, time_base=Fraction(1, 1000))
    restore(clip, tmp_path / "b.mkv", preset="medium")
    assert [time * 1000 for time in read_times(tmp_path / "b.mkv")] == times


@pytest.mark.parametrize("range", [1, 2])
@pytest.mark.parametrize("matrix", [1, 6])
@pytest.mark.parametrize(("format", "codec"), [("yuv420p", "h264"), ("yuv420p", "ffv1"), ("yuv420p10le", "h264")])
def test_with_an_empty_mask_the_result_is_the_decoded_video(tmp_path, matrix, range, format, codec):
    """Encoded without loss, sample by sample, with its tags."""

    def prepare(container, stream):
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, range
        stream.codec_context.color_primaries = stream.codec_context.color_trc = matrix

    clip = write_clip(tmp_path / "a.mkv", 6, codec="ffv1", format=format, options={"level": "3"}, prepare=prepare)
    restore(clip, tmp_path / "b.mkv", leave_alone, codec=codec, crf=None if codec == "ffv1" else 0)
    if format == "yuv420p" or codec == "ffv1":  # H.264 of 10 bits is not without loss at 0
        assert are_equal(read_planes(clip), read_planes(tmp_path / "b.mkv"))
    with av.open(str(tmp_path / "b.mkv")) as container:
        frame = next(container.decode(video=0))
    assert (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc) == (
        matrix, range, matrix, matrix,
    )  # fmt: skip


def test_samples_outside_of_the_mask_are_those_of_the_input(tmp_path):
    clip = write_clip(tmp_path / "a.mkv", 4, codec="ffv1", options={"level": "3"})
    restore(clip, tmp_path / "b.mkv", brighten, codec="ffv1")
    for old, new in zip(read_planes(clip), read_planes(tmp_path / "b.mkv"), strict=True):
        assert np.array_equal(old[0][: 3 * SQUARE], new[0][: 3 * SQUARE])
        assert np.array_equal(old[1][: 3 * SQUARE // 2], new[1][: 3 * SQUARE // 2])
        assert (old[0][3 * SQUARE :] != new[0][3 * SQUARE :]).mean() > 0.9


def test_more_than_8_bits_reach_the_network_as_16(tmp_path):
    seen = set()

    def watch(image):
        seen.add((image.dtype.name, image.shape))
        return brighten(image)

    clip = write_clip(tmp_path / "a.mp4", 4, format="yuv420p10le", size=(64, 64))
    record = restore(clip, tmp_path / "b.mp4", watch, preset="ultrafast")
    assert seen == {("uint16", (64, 64, 3))} and record.codec == "hevc" and record.dropped == []
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p10le"
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("out", ["b.mp4", "b.mkv"])
def test_rotation_and_the_shape_of_pixels_are_kept(tmp_path, degrees, out):
    def prepare(container, stream):
        stream.set_display_rotation(degrees)
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    clip = write_clip(tmp_path / "a.mp4", 3, prepare=prepare)
    restore(clip, tmp_path / out)
    found = []
    for path in (clip, tmp_path / out):
        with av.open(str(path)) as container:
            aspect = container.streams.video[0].sample_aspect_ratio
            frame = next(container.decode(video=0))
            found.append((frame.rotation, (frame.width, frame.height), aspect))
    assert found[0] == found[1] and found[0][0] % 360 == degrees


def test_sound_chapters_and_texts_are_copied(tmp_path, short_segments):
    clip = write_clip_with_sound(tmp_path / "a.mp4", 30)
    restore(clip, tmp_path / "b.mp4", brighten)
    assert list_packets(tmp_path / "b.mp4", "audio") == list_packets(clip, "audio")
    for path in (clip, tmp_path / "b.mp4"):
        with av.open(str(path)) as container:
            assert container.metadata["title"] == "A title with ä"
            assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["part 0", "part 1"]
            assert container.streams.audio[0].metadata["language"] == "deu"


def test_an_interrupted_run_goes_on_and_gives_the_same_frames(tmp_path, short_segments):
    """FFV1 gives the same bytes each time, which x264 does not."""
    clip = write_clip_with_sound(tmp_path / "a.mp4", 23)
    restore(clip, tmp_path / "whole.mkv", brighten, codec="ffv1", causes=CAUSES)
    counted = []

    def break_off(image):
        if len(counted) == 13:
            raise KeyboardInterrupt
        counted.append(1)
        return brighten(image)

    with pytest.raises(KeyboardInterrupt):
        restore(clip, tmp_path / "b.mkv", break_off, codec="ffv1", causes=CAUSES)
    assert not (tmp_path / "b.mkv").exists()
    (left,) = tmp_path.glob(".b.mkv.*.part")
    done = len(list(left.glob("*.nut")))
    counted.clear()
    calls = []

    def count(image):
        counted.append(1)
        return brighten(image)

    record = restore(
        clip, tmp_path / "b.mkv", count, codec="ffv1", causes=CAUSES, progress=lambda *words: calls.append(words)
    )
    assert done >= 1 and record.resumed in (5, 10) and len(counted) == 23 - record.resumed
    assert calls[0] == (record.resumed, 23, str(clip)) and calls[-1] == (23, 23, str(clip))
    assert record.density == pytest.approx(0.25), "of all frames"
    assert read_numbers(tmp_path / "b.mkv") == list(range(23))
    for kind in ("video", "audio"):
        assert list_packets(tmp_path / "b.mkv", kind) == list_packets(tmp_path / "whole.mkv", kind)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mkv", "whole.mkv"]


@pytest.mark.parametrize("change", ["model", "options", "input"])
def test_segments_of_another_run_are_not_used(tmp_path, short_segments, change):
    clip = write_clip(tmp_path / "a.mp4", 12)

    def break_off(image, count=[0]):  # noqa: B006 (counts the calls)
        count[0] += 1
        if count[0] == 9:
            raise LookupError
        return brighten(image)

    with pytest.raises(LookupError):
        restore(clip, tmp_path / "b.mp4", break_off, causes=CAUSES)
    assert len(list(tmp_path.glob(".b.mp4.*.part"))) == 1
    if change == "input":
        write_clip(clip, 13)
    options = {"crf": 30} if change == "options" else {}
    causes = {"digest": "other"} if change == "model" else CAUSES
    assert restore(clip, tmp_path / "b.mp4", brighten, causes=causes, **options).resumed == 0
    assert list(tmp_path.glob(".*")) == []


def test_damaged_frames_are_passed_on_and_reported(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", 12, size=(160, 96), options={"crf": "5", "bf": "0"})
    damage(clip, 4, "half")
    damage(clip, 8, "whole")
    given = []

    def watch(image):
        given.append(image)
        return brighten(image)

    record = restore(clip, tmp_path / "b.mp4", watch)
    assert (record.frames, record.damaged, record.lost, len(given)) == (11, 1, 1, 10)
    assert record.damaged_times == [pytest.approx(4 / 25)]
    assert "the file says that it has 12 frames, and 11 were found" in record.note
    assert read_times(tmp_path / "b.mp4") == [Fraction(number, 25) for number in range(12) if number != 8]


def test_a_truncated_file_is_restored_as_far_as_it_goes(tmp_path):
    clip = tmp_path / "a.mp4"
    restore(write_clip(tmp_path / "a.mkv", 24), clip, crf=10)  # its index stands before the frames
    clip.write_bytes(clip.read_bytes()[: -clip.stat().st_size // 6])
    record = restore(clip, tmp_path / "b.mp4")
    assert 0 < record.frames < 24 and "the file says that it has 24 frames" in record.note
    assert read_numbers(tmp_path / "b.mp4")[:5] == list(range(5))


def test_a_network_that_enlarges_gives_a_larger_video(tmp_path):
    def enlarge(image):
        return replace(leave_alone(image), image=np.repeat(np.repeat(image, 2, 0), 2, 1), mask=None, density=1.0)

    clip = write_clip(tmp_path / "a.mp4", 4)
    restore(clip, tmp_path / "b.mp4", enlarge)
    with av.open(str(tmp_path / "b.mp4")) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height) == (96, 64)
        light = frame.to_ndarray(format="rgb24")[48 + 4 : -4, 4:-4].astype(int)
    expected = np.repeat(np.repeat(draw_frame(0, 48, 32), 2, 0), 2, 1)[48 + 4 : -4, 4:-4]
    assert np.abs(light - expected).mean() < 6


def test_a_failure_of_the_network_leaves_the_older_result(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", 4)
    (tmp_path / "b.mp4").write_bytes(b"older")

    def fail(image):
        raise UserError("no")

    with pytest.raises(UserError, match="^no$"):
        restore(clip, tmp_path / "b.mp4", fail, causes=CAUSES)
    assert (tmp_path / "b.mp4").read_bytes() == b"older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_odd_sides_are_told(tmp_path):
    clip = write_clip(tmp_path / "a.mkv", 3, codec="ffv1", size=(49, 33), options={"level": "3"})
    note = restore(clip, tmp_path / "b.mp4").note
    assert note == (
        "49x33 became 50x34 by repeating the edge, since h264 takes even sides alone; --codec vp9 keeps the size"
    )
    assert restore(clip, tmp_path / "b.webm").note == ""


class Keeping:
    """Restorer that keeps scenes, and finds every 50th pixel distorted."""

    keeps_scenes = True

    def __init__(self):
        self.scenes = []

    def __call__(self, image, *, scene=None):
        self.scenes.append(scene)
        mask = np.zeros(image.shape[:2], bool)
        mask.reshape(-1)[::50] = True
        if scene is not None:
            real = np.moveaxis(image, 2, 0).astype(np.float32) / 255
            scene.find(real, mask)
            scene.keep(real)
        return give(image, image, mask)


def test_frames_of_a_video_share_one_scene(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", 6, draw=lambda number, width, height: draw_frame(0, width, height))
    restorer = Keeping()
    records = [restore(clip, tmp_path / f"{reuse}.mp4", restorer, reuse=reuse) for reuse in ("off", "safe", "fast")]
    assert restorer.scenes[:6] == [None] * 6
    first, second = set(restorer.scenes[6:12]), set(restorer.scenes[12:])
    assert len(first) == len(second) == 1 and first.isdisjoint({None, *second})
    assert records[0].reused == 0 and all(0.5 < record.reused < 1 and not record.note for record in records[1:])


def test_a_restorer_that_keeps_no_scene_is_told(tmp_path):
    record = restore(write_clip(tmp_path / "a.mp4", 3), tmp_path / "b.mp4", brighten, reuse="fast")
    assert record.reused == 0 and "nothing was reused, since this network" in record.note


def test_segments_of_another_reuse_are_not_used(tmp_path, short_segments):
    clip, out, calls = write_clip(tmp_path / "a.mp4", 12), tmp_path / "b.mp4", []

    def fail(image):
        calls.append(image)
        if len(calls) == 8:
            raise UserError("stopped")
        return brighten(image)

    with pytest.raises(UserError, match="stopped"):
        restore(clip, out, fail, causes=CAUSES)
    assert restore(clip, out, brighten, causes=CAUSES, reuse="safe").resumed == 0

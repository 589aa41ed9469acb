"""A run restores the newest frames, stops at its limits, and finishes what it has whatever ends it."""

import threading

import numpy as np
import pytest

from benchmarks.common.clips import HEIGHT, WIDTH, read_numbers, read_times
from spair.runtime import Restorer
from spair.runtime.errors import UserError
from spair.runtime.live.restoring import LiveOptions, LiveRestoration
from spair.runtime.live.sinks import VideoSink
from spair.runtime.live.sources.addresses import parse_source
from spair.runtime.live.sources.capture import make_opener
from spair.runtime.video.options import VideoOptions
from tests.patience import PATIENCE, wait_until
from tests.runtime.live.doubles import ALL, Frames, KeptFrames, StreamServer, make_stream, open_in_turn
from tests.runtime.video.doubles import brighten, leave_alone


class OneByOne:
    """Lets a source go on only when the frame before was restored, so that none is dropped."""

    keeps_scenes = False

    def __init__(self, restorer=leave_alone):
        self._restorer, self._free = restorer, threading.Semaphore(1)

    def wait(self, stop):
        wait_until(lambda: self._free.acquire(blocking=False) or stop(), "the frame before was restored")

    def __call__(self, image, **scene):
        self._free.release()
        return self._restorer(image, **scene)


def restore(path, *readers, restorer=leave_alone, clock=lambda: 0.0, progress=lambda: None, **options):
    run = LiveRestoration(
        restorer, "camera:0", open_in_turn(*readers), VideoSink(str(path)), LiveOptions(**options), clock=clock,
        wait=lambda seconds: None,
    )  # fmt: skip
    run.run(progress)
    return run.report()


def test_frames_are_restored_in_order_at_the_times_of_their_capture(tmp_path):
    steps, path = OneByOne(brighten), tmp_path / "a.mkv"
    report = restore(path, Frames(range(6), taken=steps.wait), restorer=steps, clock=lambda: 2.0)
    assert read_numbers(path) == list(range(6))
    assert [float(time) for time in read_times(path)] == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert (report["width"], report["height"], report["codec"]) == (WIDTH, HEIGHT, "h264")
    assert (report["captured"], report["restored"], report["dropped"], report["reconnects"]) == (6, 6, 0, 0)
    assert (report["stopped"], report["error"], report["seconds"], report["fps"]) == ("end", "", 2.0, 3.0)
    assert report["latency_ms"] == pytest.approx({"p50": 1700.0, "p99": 2000.0}), "2.0 s less the time of capture"
    assert report["density"] == pytest.approx(1 - 24 / HEIGHT)


def test_while_one_frame_is_restored_only_the_newest_waits(tmp_path):
    """The first restoration lasts until the source is at its end."""
    captured = threading.Event()
    seen = []

    class Last(Frames):
        def __exit__(self, *reason):
            captured.set()

    def restorer(image):
        seen.append(image)
        assert captured.wait(PATIENCE)
        return leave_alone(image)

    def pause(stop, calls=iter(range(1))):  # noqa: B008 (all but the first call wait)
        if next(calls, None) is None:
            wait_until(lambda: seen, "the first frame was taken")

    report = restore(tmp_path / "a.mp4", Last(range(9), taken=pause), restorer=restorer)
    assert read_numbers(tmp_path / "a.mp4") == [0, 8]
    assert (report["captured"], report["restored"], report["dropped"]) == (9, 2, 7)


def test_a_run_stops_after_so_many_frames(tmp_path):
    steps = OneByOne()
    report = restore(tmp_path / "a.mp4", Frames(range(100), taken=steps.wait), restorer=steps, frames=3)
    assert (report["restored"], report["stopped"]) == (3, "frames") and len(read_numbers(tmp_path / "a.mp4")) == 3


def test_a_run_stops_after_so_much_time(tmp_path):
    steps, now = OneByOne(), [0.0]

    def progress():
        now[0] += 0.5

    reader = Frames(range(100), taken=steps.wait)
    report = restore(
        tmp_path / "a.mp4", reader, restorer=steps, clock=lambda: now[0], progress=progress, seconds=2.0
    )  # fmt: skip
    assert (report["restored"], report["stopped"]) == (4, "seconds")


def test_a_silent_source_does_not_outlast_the_time(tmp_path):
    def hang(stop, calls=iter(range(1))):  # noqa: B008 (all but the first call wait)
        if next(calls, None) is None:
            wait_until(stop, "the run stopped")

    report = restore(tmp_path / "a.mp4", Frames(range(2), taken=hang), seconds=0.05)
    assert (report["restored"], report["stopped"]) == (1, "seconds") and read_numbers(tmp_path / "a.mp4") == [0]


def test_a_stopped_run_ends_though_its_source_is_silent():
    sink = KeptFrames()

    def hang(stop, calls=iter(range(1))):  # noqa: B008 (all but the first call wait)
        if next(calls, None) is None:
            run.stop()
            wait_until(stop, "the run stopped")

    run = LiveRestoration(leave_alone, "camera:0", open_in_turn(Frames([3], taken=hang)), sink, LiveOptions())
    run.run()
    assert run.report()["stopped"] == "closed" and sink.ended == "finished" and len(sink.frames) == 1


def test_a_run_that_is_stopped_before_its_first_frame_is_no_failure():
    run = LiveRestoration(leave_alone, "camera:0", open_in_turn(Frames([3])), KeptFrames(), LiveOptions())
    run.stop()
    run.run()
    assert (run.report()["stopped"], run.report()["restored"]) == ("closed", 0)


def test_frames_go_on_after_a_loss(tmp_path):
    steps = OneByOne()
    readers = Frames([0, 1], lost="gone", taken=steps.wait), "No", Frames([7], start=5.0)
    report = restore(tmp_path / "a.mkv", *readers, restorer=steps, retries=2)
    assert read_numbers(tmp_path / "a.mkv") == [0, 1, 7]
    assert [float(time) for time in read_times(tmp_path / "a.mkv")] == [0, 0.1, 5.0]
    assert (report["reconnects"], report["stopped"]) == (1, "end")


def test_what_was_restored_before_a_loss_is_finished(tmp_path):
    report = restore(tmp_path / "a.mp4", Frames([3], lost="gone"), retries=0)
    assert (report["stopped"], report["error"]) == ("lost", "camera:0 is lost: gone")
    assert read_numbers(tmp_path / "a.mp4") == [3]


@pytest.mark.parametrize(
    ("first", "match"),
    [("No such device", "no frame came from camera:0: No such device"), (UserError("too large"), "too large")],
)
def test_without_a_frame_nothing_is_written(tmp_path, first, match):
    with pytest.raises(UserError, match=match):
        restore(tmp_path / "a.mp4", first)
    assert list(tmp_path.iterdir()) == []


def test_a_change_of_size_ends_the_run_with_what_it_has(tmp_path):
    steps = OneByOne()
    readers = Frames([3], lost="gone", taken=steps.wait), Frames([4], size=(64, 48), start=3.0)
    report = restore(tmp_path / "a.mp4", *readers, restorer=steps)
    assert report["stopped"] == "lost" and "camera:0 now sends frames of 64x48 after 48x32" in report["error"]
    assert read_numbers(tmp_path / "a.mp4") == [3]


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_a_signal_finishes_the_file_and_leaves_a_report(tmp_path, end):
    steps, path = OneByOne(), tmp_path / "a.mp4"
    source = open_in_turn(Frames(range(100), taken=steps.wait))
    run = LiveRestoration(steps, "camera:0", source, VideoSink(str(path)), LiveOptions(), clock=lambda: 0.0)

    def progress(calls=[]):  # noqa: B006 (counts its calls)
        calls.append(1)
        if len(calls) == 4:
            raise end

    with pytest.raises(end):
        run.run(progress)
    report = run.report()
    assert (report["restored"], report["stopped"]) == (4, "interrupted") and read_numbers(path) == [0, 1, 2, 3]


def test_a_real_stream_on_loopback_becomes_a_file(tmp_path):
    with StreamServer(make_stream(range(30))) as server:
        name = parse_source(f"tcp://127.0.0.1:{server.port}")
        opener = make_opener(name, ALL, lambda: 0.0)
        run = LiveRestoration(leave_alone, name.shown, opener, VideoSink(str(tmp_path / "a.mkv")), LiveOptions(0))
        run.run()
    report, numbers = run.report(), read_numbers(tmp_path / "a.mkv")
    assert numbers[-1] == 29 and numbers == sorted(set(numbers)) and len(numbers) == report["restored"]
    assert report["captured"] == 30 == report["restored"] + report["dropped"]


def test_a_network_may_enlarge_frames(tmp_path):
    import av

    from tests.runtime.video.doubles import give

    def double(image):
        return give(image, np.repeat(np.repeat(image, 2, 0), 2, 1), np.ones(image.shape[:2], bool))

    restore(tmp_path / "a.mp4", Frames([3]), restorer=double)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].width == 2 * WIDTH


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"retries": -1}, "--retries -1 is negative"),
        ({"frames": 0}, "--frames 0 is too few"),
        ({"seconds": 0.0}, "--seconds 0.0 is no length of time"),
        ({"seconds": float("nan")}, "--seconds nan is no length of time"),
    ],
)
def test_limits_out_of_range_are_refused(options, match):
    with pytest.raises(UserError, match=match):
        LiveOptions(**options)


class WithMask:
    """Restorer that is told the mask, so that each frame of a scene has the same."""

    keeps_scenes = True

    def __init__(self, restorer, mask):
        self._restorer, self._mask = restorer, mask

    def __call__(self, image, scene=None):
        return self._restorer(image, mask=self._mask, scene=scene)


def watch_scene(bundle, reuse, times, numbers=(0, 0, 0, 0, 0, 0), has_scenes=True):
    """Restore frames of a camera; return them with the report, and with the frames restored by themselves."""
    size = 200, 136
    mask = np.random.default_rng(1).random(size[::-1]) < 0.1
    sink = KeptFrames()
    with Restorer.open(bundle, backend="onnxruntime", threads=1) as restorer:
        inner = WithMask(restorer, mask)
        steps = OneByOne(inner if has_scenes else lambda image: inner(image))
        steps.keeps_scenes = has_scenes
        reader = Frames(numbers, size=size, taken=steps.wait, times=times)
        options = LiveOptions(video=VideoOptions(reuse=reuse))
        run = LiveRestoration(steps, "camera:0", open_in_turn(reader), sink, options, clock=lambda: 0.0)
        run.run()
        alone = [inner(one.pixels).image for one in sink.frames]
    return run.report(), [one.restored for one in sink.frames], alone


def test_without_reuse_each_frame_is_as_if_restored_by_itself(tiny_bundle):
    report, restored, alone = watch_scene(tiny_bundle, "off", range(6))
    np.testing.assert_array_equal(restored, alone)
    assert (report["reused"], report["note"], report["restored"]) == (0.0, "", 6)


@pytest.mark.parametrize("reuse", ["safe", "fast"])
def test_a_camera_that_stands_still_takes_what_it_showed(tiny_bundle, reuse):
    report, restored, alone = watch_scene(tiny_bundle, reuse, range(6))
    np.testing.assert_array_equal(restored[0], alone[0], "nothing was shown before")
    assert 0.5 < report["reused"] < 1 and report["note"] == ""


def test_what_moves_is_computed(tiny_bundle):
    report, restored, alone = watch_scene(tiny_bundle, "safe", range(6), numbers=[40 * one for one in range(6)])
    assert report["reused"] == 0
    np.testing.assert_array_equal(restored, alone)


def test_after_a_silence_the_scene_begins_anew(tiny_bundle):
    times = [0, 1, 2, 12.5, 13.5, 14.5]
    report, _, _ = watch_scene(tiny_bundle, "fast", times)
    steady, _, _ = watch_scene(tiny_bundle, "fast", range(6))
    assert report["reused"] == pytest.approx(steady["reused"] * 4 / 5, rel=0.1), "2 of 6 frames are the first ones"


def test_reuse_that_cannot_be_is_said(tiny_bundle):
    report, restored, alone = watch_scene(tiny_bundle, "fast", range(6), has_scenes=False)
    np.testing.assert_array_equal(restored, alone)
    assert report["reused"] == 0 and "nothing was reused, since this network or backend" in report["note"]

"""A killed process loses one segment at most, and a full disk is said in a sentence."""

import os
import signal
from pathlib import Path

import pytest

from benchmarks.common.clips import list_packets, read_numbers, write_clip
from spair.runtime.files import DiskFullError
from tests.faults.children import REFUSED, limit_files, list_steps, run, signal_at
from tests.runtime.video.doubles import brighten, restore

CAUSES = {"digest": "abc"}
FRAMES = 20


@pytest.fixture
def clip(tmp_path, monkeypatch):
    monkeypatch.setattr("spair.runtime.video.encoding.SEGMENT_FRAMES", 4)
    clip = write_clip(tmp_path / "a.mkv", FRAMES)
    restore(clip, tmp_path / "whole.mkv", brighten, codec="ffv1")
    return clip


def go_on(clip):
    """Restore again, and compare with a run that nothing disturbed."""
    out = clip.with_name("b.mkv")
    record = restore(clip, out, brighten, codec="ffv1", causes=CAUSES)
    assert read_numbers(out) == list(range(FRAMES))
    assert list_packets(out, "video") == list_packets(clip.with_name("whole.mkv"), "video")
    assert sorted(path.name for path in clip.parent.iterdir()) == ["a.mkv", "b.mkv", "whole.mkv"]
    return record


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("at", [0, 3, 11, 19])
def test_a_kill_in_the_middle_of_a_frame_loses_one_segment_at_most(clip, at, number):
    """Frames that wait between the stages are not in a segment yet."""
    seen = []

    def kill(image):
        if len(seen) == at:
            os.kill(os.getpid(), number)
        seen.append(1)
        return brighten(image)

    assert run(lambda: restore(clip, clip.with_name("b.mkv"), kill, codec="ffv1", causes=CAUSES)) == -number
    assert not clip.with_name("b.mkv").exists()
    assert go_on(clip).resumed >= (at - 4) // 4 * 4


def test_a_kill_at_any_step_of_writing_leaves_a_run_that_goes_on(clip):
    def work():
        return restore(clip, clip.with_name("b.mkv"), brighten, codec="ffv1", causes=CAUSES)

    count = len(list_steps(work))
    clip.with_name("b.mkv").unlink()
    for step in {round(share * (count - 1)) for share in (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)}:

        def die(step=step):
            signal_at(step, signal.SIGKILL)
            work()

        assert run(die) in (0, -signal.SIGKILL)  # threads of FFmpeg may reach the step or not
        go_on(clip)
        clip.with_name("b.mkv").unlink()


def test_a_full_disk_is_a_refusal_and_leaves_the_older_result(clip):
    out = clip.with_name("b.mkv")
    out.write_bytes(b"older")

    def fill():
        limit_files(600, kill=False)
        restore(clip, out, brighten, codec="ffv1", causes=CAUSES)

    assert run(fill) == REFUSED
    assert out.read_bytes() == b"older"
    go_on(clip)


def test_a_disk_that_is_full_is_told_as_such(clip, monkeypatch):
    """The batch then stops, since nothing else could be written either."""
    monkeypatch.setattr("spair.runtime.video.segments.SegmentFolder.next_file", lambda folder: Path("/dev/full"))
    with pytest.raises(DiskFullError, match=r"cannot write .*b\.mkv: No space left on device; free some space"):
        restore(clip, clip.with_name("b.mkv"), brighten, codec="ffv1", causes=CAUSES)

"""Finished segments wait for a later run of the same result, and for no other."""

import json

import pytest

from spair.runtime import UserError
from spair.runtime.video.segments import JOURNAL, Segment, keep_segments
from spair.temporary.names import PARTIAL, name_beside
from tests.temporary.dead import left_by_the_dead, left_elsewhere


def make_segment(number, frames=10):
    return Segment(f"{number:06d}.nut", 5, frames, 100 * number, 1, 2, 0.5, frames, [3], 0)


def fill(folder, count):
    for number in range(count):
        folder.next_file().write_bytes(b"12345")
        folder.add(make_segment(number))


def break_off(target, key, count, error=KeyboardInterrupt):
    with pytest.raises(error), keep_segments(target, key) as folder:
        fill(folder, count)
        folder.next_file().write_bytes(b"half")
        raise error
    return sorted(target.parent.iterdir())


def test_a_later_run_finds_the_segments(tmp_path):
    target = tmp_path / "a.mp4"
    (left,) = break_off(target, "key", 3)
    assert left.name.startswith(".a.mp4.") and left.name.endswith(".part")
    with keep_segments(target, "key") as folder:
        assert folder.segments == [make_segment(number) for number in range(3)] and folder.frames == 30
        assert folder.next_file().name == "000003.nut"
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_was_broken_off_twice_goes_on(tmp_path):
    target = tmp_path / "a.mp4"
    break_off(target, "key", 2)
    with pytest.raises(KeyboardInterrupt), keep_segments(target, "key") as folder:
        folder.next_file().write_bytes(b"12345")
        folder.add(make_segment(2))
        raise KeyboardInterrupt
    with keep_segments(target, "key") as folder:
        assert len(folder.segments) == 3


def test_segments_of_another_model_or_input_are_removed(tmp_path):
    target = tmp_path / "a.mp4"
    break_off(target, "key", 3)
    with keep_segments(target, "other") as folder:
        assert folder.segments == []
        assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_a_run_without_a_finished_segment_or_a_key(tmp_path):
    assert break_off(tmp_path / "a.mp4", "key", 0) == []
    assert break_off(tmp_path / "a.mp4", None, 3, LookupError) == []


def test_other_results_keep_theirs(tmp_path):
    break_off(tmp_path / "a.mp4", "key", 1)
    with keep_segments(tmp_path / "b.mp4", "key") as folder:
        assert folder.segments == []
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("leave", [left_by_the_dead, left_elsewhere])
def test_what_a_killed_process_left_is_taken_over(tmp_path, leave):
    """The one of another machine as well, since a restarted machine counts as one."""
    target = tmp_path / "a.mp4"
    (own,) = break_off(target, "key", 2)
    own.rename(leave(target, PARTIAL))
    with keep_segments(target, "key") as folder:
        assert len(folder.segments) == 2


def test_a_result_that_another_process_writes_is_refused(tmp_path, monkeypatch):
    target = tmp_path / "a.mp4"
    place = name_beside(target, PARTIAL)
    place.mkdir()
    monkeypatch.setattr("spair.runtime.video.segments.os.getpid", lambda: -1)
    refusal = pytest.raises(UserError, match=r"another process, \d+, is writing .*a\.mp4; wait for it")
    with refusal, keep_segments(target, "key"):
        pass
    assert place.is_dir()


@pytest.mark.parametrize(
    ("harm", "count"),
    [
        (lambda place: (place / "000001.nut").write_bytes(b"123"), 1),
        (lambda place: (place / "000000.nut").unlink(), 0),
        (lambda place: (place / JOURNAL).write_text((place / JOURNAL).read_text()[:-20]), 2),
        (lambda place: (place / JOURNAL).unlink(), 0),
        (lambda place: (place / JOURNAL).write_text("[1"), 0),
        (lambda place: (place / JOURNAL).write_text(""), 0),
        (lambda place: (place / JOURNAL).write_text(json.dumps({"key": "key"}) + '\n{"file": "../../x"}\n'), 0),
    ],
)
def test_what_is_not_whole_is_made_again(tmp_path, harm, count):
    target = tmp_path / "a.mp4"
    (left,) = break_off(target, "key", 3)
    harm(left)
    with keep_segments(target, "key") as folder:
        assert len(folder.segments) == count
        fill_from = folder.next_file().name
    assert fill_from == f"{count:06d}.nut"

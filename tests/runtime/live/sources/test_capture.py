"""A lost source is opened again after waits that grow, until the attempts are used up."""

import pytest

from spair.runtime.errors import UserError
from spair.runtime.live.sources.addresses import parse_source
from spair.runtime.live.sources.capture import LONGEST_WAIT, Capture, make_opener
from tests.patience import wait_until
from tests.runtime.live.doubles import Frames, open_in_turn


def capture_all(*readers, retries=3):
    waits, losses = [], []
    capture = Capture(open_in_turn(*readers), retries, announce=losses.append, wait=waits.append)
    with capture:
        wait_until(lambda: capture.newest.ended, "the capture ended")
    return capture, waits, losses


def test_a_finite_source_ends_without_a_loss():
    capture, waits, losses = capture_all(Frames(range(3)))
    assert (capture.loss, capture.error, waits, losses) == (None, None, [], [])
    assert (capture.newest.put_count, capture.newest.dropped, capture.reconnects) == (3, 2, 0)


def test_a_lost_source_is_opened_again_and_a_frame_sets_the_attempts_back():
    readers = Frames([0], lost="gone"), "No", "No", Frames([1], finite=False), "No", Frames([2], lost="gone")
    capture, waits, losses = capture_all(*readers)
    assert capture.newest.put_count == 3 and capture.reconnects == 2
    assert waits == [1, 2, 4, 1, 2, 1, 2, 4] and capture.loss == "No such device"
    assert losses[0] == "gone; trying again in 1 s (1 of 3)"
    assert losses[3] == "the stream ended; trying again in 1 s (1 of 3)"


def test_waits_grow_to_a_limit():
    _, waits, _ = capture_all(Frames([0], lost="gone"), retries=8)
    assert waits == [1, 2, 4, 8, 16, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT]


def test_a_source_that_never_answered_is_not_tried_again():
    capture, waits, _ = capture_all("Connection refused")
    assert (capture.loss, waits) == ("Connection refused", [])


def test_without_attempts_the_end_of_a_stream_is_its_end():
    assert capture_all(Frames([0], finite=False), retries=0)[0].loss is None
    assert capture_all(Frames([0], lost="gone"), retries=0)[0].loss == "gone"


def test_other_errors_wait_for_the_thread_that_takes_frames():
    capture, waits, _ = capture_all(UserError("too large"))
    assert str(capture.error) == "too large" and waits == []


def test_the_end_of_the_block_breaks_off_the_wait():
    with Capture(open_in_turn(Frames([0], lost="gone")), 10_000) as capture:
        wait_until(lambda: capture.newest.put_count, "a frame came")
    wait_until(lambda: capture.newest.ended, "the thread ended, which would wait for hours")


def test_a_name_that_asks_for_too_much_is_refused():
    with pytest.raises(UserError, match="frames of pipe:size=11x10 are more than 100 pixels"):
        make_opener(parse_source("pipe:size=11x10"), 100, lambda: 0.0)

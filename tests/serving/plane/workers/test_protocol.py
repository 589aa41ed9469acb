"""Messages come out of their lines as they went in."""

import json

import pytest

from spair.serving.plane.workers.protocol import (
    FILE_TASK,
    Opened,
    Opening,
    Reply,
    Report,
    Task,
    pack,
    unpack,
    unpack_reply,
)


@pytest.mark.parametrize(
    "message",
    [
        Opening("m\n", "/a b/ü", "a.b:c", {"threads": None, "batch": 2}),
        Opened(3, {"backend": "x"}),
        Opened(failure="a sentence\nof two lines"),
    ],
)
def test_openings_come_out_as_they_went_in(message):
    line = pack(message)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert unpack(type(message), line) == message


def test_tasks_come_out_with_lists_for_shapes():
    task = Task(FILE_TASK, (7,), ("mask",), "input", 100)
    assert unpack(Task, pack(task)) == Task(FILE_TASK, [7], ["mask"], "input", 100)


def test_replies_come_out_as_they_went_in():
    report = Report(0.1, (1, 2, 3), {"net_l": 0.3}, (0.1, 0.2, 0.3), "failed\nhere", 413)
    reply = Reply((Report(), report), {"mask": (64, (2, 1, 3, 3))}, "lost")
    assert unpack_reply(pack(reply)) == reply
    assert unpack_reply(pack(Reply())) == Reply()


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b"[]\n", b"not json\n", json.dumps({"reports": [{}]}).encode()])
def test_what_is_no_reply_is_an_error(line):
    with pytest.raises((ValueError, TypeError, KeyError)):
        unpack_reply(line)

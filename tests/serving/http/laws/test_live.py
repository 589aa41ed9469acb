"""Cameras over HTTP: parts as browsers take them, viewers that come, stay and leave, and what is refused."""

import contextlib
import http.client
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from benchmarks.common.clips import HEIGHT, WIDTH
from spair.serving.http.connection import Guard
from tests.patience import PATIENCE, wait_until
from tests.serving.live.doubles import go_on_for_ever, make_feeds


@pytest.fixture
def feeds():
    """A view whose camera may be opened three times, since a viewer who leaves may end it."""
    return make_feeds(*(go_on_for_ever([number]) for number in (3, 4, 3)), viewers=3)


@contextlib.contextmanager
def watching(door, path="/live/yard", method="GET", **headers):
    """Ask for a view; yield the answer."""
    host, _, port = door.address.rpartition(":")
    with contextlib.closing(http.client.HTTPConnection(host, int(port), timeout=PATIENCE)) as connection:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        yield connection.getresponse()


def read_part(answer):
    """Read a frame: its headers, and its picture."""
    lines = []
    while not lines or lines[-1]:
        lines.append(answer.readline().decode().rstrip("\r\n"))
    headers = dict(line.split(": ", 1) for line in lines[1:-1])
    data = answer.read(int(headers["Content-Length"]))
    assert lines[0] == "--spair-frame" and answer.readline() == b"\r\n"
    return headers, np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def refused(door, path="/live/yard", **headers):
    with watching(door, path, **headers) as answer:
        return answer.status, json.loads(answer.read())["error"]


def test_the_views_are_listed_without_secrets(client, listen, feeds):
    assert client.get("/live").json() == []
    with watching(listen(feeds=feeds), "/live") as answer:
        (view,) = json.loads(answer.read())
    assert view == {"name": "yard", "source": "camera:0", "model": "rain", "viewers": 0, "error": ""}
    assert feeds.opened == [], "a list opens no camera"


def test_frames_come_as_parts_that_replace_each_other(listen, feeds, log):
    door = listen(feeds=feeds)
    pictures = {}
    for show in ("restored", "mask", "before"):
        with watching(door, f"/live/yard?show={show}") as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=spair-frame"
            assert answer.headers["Cache-Control"] == "no-store" and answer.headers["X-Request-Id"]
            assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
            headers, pictures[show] = read_part(answer)
        assert headers["Content-Type"] == "image/jpeg" and headers["X-Density"] == "0.500000"
        assert re.fullmatch(r"\d+\.\d", headers["X-Latency-Ms"])
    assert pictures["before"].shape == (HEIGHT, WIDTH, 3)
    away = abs(255 - pictures["before"].astype(int) - pictures["restored"])
    assert np.median(away) <= 8, "the plane inverts frames"
    assert abs(pictures["mask"].astype(int) - pictures["restored"])[HEIGHT // 2 + 8 :].mean() < 8 < 30
    assert abs(pictures["mask"].astype(int) - pictures["restored"])[: HEIGHT // 2].mean() > 30
    wait_until(lambda: len(log.read()) == 3, "each request is in the log")
    assert {(line["status"], line["live"], line["frames"]) for line in log.read()} == {(499, "yard", 1)}


def test_viewers_come_and_go(listen, feeds):
    door, feed = listen(feeds=feeds), feeds.find("yard")
    with watching(door) as first:
        read_part(first)
        with watching(door) as second, watching(door) as third:
            read_part(second), read_part(third)
            assert feed.viewers == 3
            status, sentence = refused(door)
            assert status == 503 and "yard has 3 viewers and takes no more" in sentence
        wait_until(lambda: feed.viewers == 1, "those who left are not counted")
    wait_until(lambda: feed.viewers == 0, "all have left")
    with watching(door) as later:
        read_part(later)
    assert len(feeds.opened) == 2, "the camera was closed in between"


def test_the_end_of_the_server_ends_an_answer_in_order(listen, feeds, log):
    door = listen(feeds=feeds)
    with watching(door) as answer:
        read_part(answer)
        assert door.end() is True
        assert answer.read() == b"--spair-frame--\r\n"
    assert log.read()[-1]["status"] == 200 and log.read()[-1]["frames"] == 1


def test_a_viewer_who_reads_nothing_is_cut_off_and_delays_nobody(listen):
    """Its connection is full after some frames; the next frame it would get is the newest then."""
    feeds = make_feeds(go_on_for_ever([3], size=(1600, 1200)))
    door, feed = listen(Guard(stall_seconds=0.05, stall_bytes=1), feeds=feeds), feeds.find("yard")
    with watching(door) as asleep, watching(door) as awake:
        _, picture = read_part(awake)
        session = feed._session
        for _ in range(2000):  # what the system buffers is full long before
            if feed.viewers == 1:
                break
            before = session._moment
            door.loop.call_soon_threadsafe(session._show, before._one)
            read_part(awake)
        assert picture.shape == (1200, 1600, 3) and asleep.status == 200
        wait_until(lambda: feed.viewers == 1, "the one asleep was cut off")


def test_a_camera_that_does_not_answer_is_told(listen):
    door = listen(feeds=make_feeds("No such device"))
    assert refused(door) == (503, "no frame came from camera:0: No such device")


def test_head_opens_nothing(listen, feeds):
    with watching(listen(feeds=feeds), method="HEAD") as answer:
        assert answer.status == 200 and answer.headers["Content-Type"].startswith("multipart/") and answer.read() == b""
    assert feeds.opened == []


@pytest.mark.parametrize(
    ("path", "headers", "status", "words"),
    [
        ("/live/attic", {}, 404, "nothing is shown as 'attic'; there are yard"),
        ("/live/yard?show=all", {}, 400, "show is 'all', expected one of restored, mask, before"),
        ("/live/yard", {"Sec_Fetch_Site": "cross-site"}, 403, "another web page asks for the picture"),
        ("/live/yard", {"Sec_Fetch_Site": "same-site"}, 403, "another web page asks for the picture"),
        ("/live/yard", {"Origin": "http://elsewhere.example"}, 403, "comes from a web page"),
    ],
)
def test_what_makes_no_sense_is_refused(listen, feeds, path, headers, status, words):
    found, sentence = refused(listen(feeds=feeds), path, **headers)
    assert found == status and words in sentence and feeds.opened == []

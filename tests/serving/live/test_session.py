"""A run shows its newest frame alone, and says why it ended."""

import asyncio
import json

import pytest

from spair.serving.errors import FailedError
from tests.runtime.live.doubles import Frames
from tests.serving.live.doubles import Plane, go_on_for_ever, make_feeds, run, wait_for


def show(session, count):
    """Let frames be seen as the run does; return them."""
    frame = session._moment._one
    moments = []
    for _ in range(count):
        session._show(frame)
        moments.append(session._moment)
    return moments


def test_a_slow_viewer_gets_the_newest_frame_and_no_other():
    async def look():
        feeds = make_feeds(go_on_for_ever([3]))
        async with feeds.find("yard").join() as session:
            first = await session.take(None)
            moments = show(session, 5)
            assert await session.take(first) is moments[-1]
            waiting = asyncio.ensure_future(session.take(moments[-1]))
            await asyncio.sleep(0)
            assert not waiting.done(), "the next one has not come"
            (last,) = show(session, 1)
            assert await waiting is last
        await feeds.close()

    run(look())


def test_all_viewers_get_a_frame():
    async def look():
        feeds = make_feeds(go_on_for_ever([3]))
        feed = feeds.find("yard")
        async with feed.join() as one, feed.join() as other:
            assert one is other
            first = await one.take(None)
            waiting = [asyncio.ensure_future(one.take(first)) for _ in range(5)]
            await asyncio.sleep(0)
            (moment,) = show(one, 1)
            assert await asyncio.gather(*waiting) == [moment] * 5
        await feeds.close()

    run(look())


@pytest.mark.parametrize(
    ("reader", "plane", "reason"),
    [
        (Frames([3]), Plane(), "it came to its end"),
        ("No such device", Plane(), "no frame came from camera:0: No such device"),
        (Frames([3]), Plane(FailedError("the model broke")), "the model broke"),
        (Frames([3]), Plane(ValueError("a bug")), "internal error; the log has more"),
    ],
)
def test_the_end_has_a_reason(reader, plane, reason):
    async def look():
        feeds = make_feeds(reader, plane=plane)
        async with feeds.find("yard").join() as session:
            moment = await session.take(None)
            while moment is not None:
                moment = await session.take(moment)
            assert session.reason == reason
            assert feeds.find("yard").describe()["error"] == reason
        return [json.loads(line) for line in feeds.stream.getvalue().splitlines()]

    lines = run(look())
    assert lines[-1] | {"time": ""} == {"time": "", "event": "live", "live": "yard", "state": "ended", "text": reason}
    assert any("a bug" in line.get("traceback", "") for line in lines) == reason.startswith("internal")


def test_a_loss_is_logged_and_the_source_opened_again(monkeypatch):
    monkeypatch.setattr("spair.runtime.live.sources.capture.FIRST_WAIT", 0.0)

    async def look():
        feeds = make_feeds(Frames([3], lost="gone"), go_on_for_ever([4]))
        async with feeds.find("yard").join() as session:
            await wait_for(
                lambda: session._run.report()["restored"] == 2 or len(feeds.opened) == 2, "it is there again"
            )
            assert await session.take(None) is not None
        await feeds.close()
        assert len(feeds.opened) == 2
        return [json.loads(line) for line in feeds.stream.getvalue().splitlines()]

    lines = run(look())
    assert lines[0]["state"] == "lost" and "camera:0: gone; trying again in 0 s (1 of 10)" in lines[0]["text"]

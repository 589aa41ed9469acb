"""Views are restored while somebody looks, for so many viewers, until the server ends."""

import sys

import pytest
from prometheus_client import CollectorRegistry

from spair.runtime.errors import UserError
from spair.serving.access_log import AccessLog
from spair.serving.errors import BusyError, UnknownViewError
from spair.serving.live.feeds import Feeds
from spair.serving.live.views import read_views
from spair.serving.options import Limits
from tests.serving.live.doubles import Plane, go_on_for_ever, make_feeds, run, wait_for


def test_a_source_is_open_only_while_somebody_looks():
    async def look():
        feeds = make_feeds(go_on_for_ever([3]), go_on_for_ever([4]))
        feed = feeds.find("yard")
        assert feeds.opened == [] and feed.describe()["viewers"] == 0
        async with feed.join() as session, feed.join():
            assert feed.describe() == {
                "name": "yard", "source": "camera:0", "model": "rain", "viewers": 2, "error": "",
            }  # fmt: skip
            await session.take(None)
        await session.wait()
        assert feeds.opened == ["camera:0"]
        await wait_for(lambda: not session._thread.is_alive(), "the thread ended")
        async with feed.join() as again:
            await again.take(None)
        await feeds.close()
        assert again is not session and len(feeds.opened) == 2

    run(look())


def test_a_viewer_who_leaves_ends_nothing():
    async def look():
        feeds = make_feeds(go_on_for_ever([3]))
        feed = feeds.find("yard")
        async with feed.join() as session:
            async with feed.join() as other:
                await other.take(None)
            assert feed.viewers == 1 and not session.is_stopping
            with pytest.raises(KeyError):
                async with feed.join():
                    raise KeyError
            assert feed.viewers == 1 and not session.is_stopping
        await feeds.close()

    run(look())


def test_who_comes_back_soon_finds_the_same_run():
    async def look():
        feeds = make_feeds(go_on_for_ever([3]), linger=3600.0)
        feed = feeds.find("yard")
        async with feed.join() as session:
            await session.take(None)
        async with feed.join() as again:
            assert again is session and await again.take(None) is not None
        await feeds.close()
        assert len(feeds.opened) == 1

    run(look())


def test_the_number_of_viewers_is_bounded():
    async def look():
        feeds = make_feeds(go_on_for_ever([3]), viewers=2)
        feed = feeds.find("yard")
        async with feed.join(), feed.join():
            with pytest.raises(BusyError, match="yard has 2 viewers and takes no more; .*--max-viewers"):
                await feed.join().__aenter__()
        assert feed.viewers == 0
        await feeds.close()

    run(look())


def test_the_end_of_the_server_ends_what_viewers_see():
    async def look():
        feeds = make_feeds(go_on_for_ever([3]))
        feed = feeds.find("yard")
        async with feed.join() as session:
            moment = await session.take(None)
            await feeds.close()
            assert await session.take(moment) is None
            await wait_for(lambda: not session._thread.is_alive(), "the thread ended")
        with pytest.raises(BusyError, match="the server is ending"):
            await feed.join().__aenter__()

    run(look())


def test_a_failed_source_is_opened_for_the_next_viewer():
    async def look():
        feeds = make_feeds("No such device", go_on_for_ever([3]))
        feed = feeds.find("yard")
        async with feed.join() as session:
            assert await session.take(None) is None
        async with feed.join() as again:
            assert await again.take(None) is not None
        await feeds.close()

    run(look())


def test_latencies_and_viewers_are_metrics():
    async def look():
        feeds, registry = make_feeds(go_on_for_ever([3]), names=("yard", "gate")), CollectorRegistry()
        feeds.register(registry)
        async with feeds.find("yard").join() as session:
            await session.take(None)
            values = [registry.get_sample_value("spair_live_viewers", {"live": name}) for name in ("yard", "gate")]
            assert values == [1, 0]
            assert registry.get_sample_value("spair_live_latency_seconds_count", {"live": "yard"}) == 1
            assert registry.get_sample_value("spair_live_latency_seconds_count", {"live": "gate"}) == 0
        await feeds.close()

    run(look())


def test_an_unknown_view_is_told_those_there_are():
    with pytest.raises(UnknownViewError, match="nothing is shown as 'attic'; there are yard, gate"):
        make_feeds(names=("yard", "gate")).find("attic")
    with pytest.raises(UnknownViewError, match="the server was started without --live"):
        make_feeds(names=()).find("attic")


def test_frames_beyond_the_limit_are_refused_at_the_start():
    views = read_views(["yard=camera:0,size=640x480"], ["rain"])
    with pytest.raises(UserError, match="frames of camera:0,size=640x480 are more than 1000 pixels"):
        Feeds(views, Plane(), Limits(pixels=1000), AccessLog())


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"needs? the Python package av|pip install"):
        Feeds(read_views(["yard=camera:0"], ["rain"]), Plane(), Limits(), AccessLog())
    Feeds((), Plane(), Limits(), AccessLog())

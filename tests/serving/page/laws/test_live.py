"""Looking at a camera: the newest frame, its mask, its figures, its end. Colours are read from the screen."""

import io

import pytest
from PIL import Image
from selenium.webdriver.support.select import Select

from benchmarks.common.clips import SQUARE
from tests.runtime.live.doubles import StreamServer, make_stream
from tests.serving.page.fake import DENSITY, LIVE_COLORS, refuse
from tests.serving.process import served

VIEWS = [
    {"name": "yard", "source": "rtsp://***@10.0.0.7/a", "model": "rain", "viewers": 0, "error": ""},
    {"name": "gate", "source": "camera:0", "model": "rain", "viewers": 0, "error": "camera:0 is lost: no such device"},
]


def look(page):
    """Return the colour in the middle of the live picture."""
    box = page.find("#now").rect
    screen = Image.open(io.BytesIO(page.driver.get_screenshot_as_png())).convert("RGB")
    return screen.getpixel((round(box["x"] + box["width"] / 2), round(box["y"] + box["height"] / 2)))


def choose(page, name):
    """Choose a camera; letters that are typed one after the other would be taken for one word."""
    select = Select(page.find("#view"))
    (one,) = [option.text for option in select.options if option.text.startswith(f"{name} ")]
    select.select_by_visible_text(one)


def near(color, expected):
    return all(abs(one - other) <= 6 for one, other in zip(color, expected, strict=True))  # JPEG


@pytest.fixture
def page(browser, server):
    """The page of a server with two cameras, opened on the first."""
    server.views = VIEWS
    browser.open_ready(server.address)
    browser.wait(lambda: browser.find("#watch").is_displayed())
    browser.find("#watch").click()
    return browser


def test_without_a_camera_there_is_nothing_to_see(browser, server):
    browser.open_ready(server.address)
    browser.hand_over("drop", "a.png", b"x")
    assert not browser.find("#watch").is_displayed() and not browser.find("#live").is_displayed()


def test_frames_are_seen_with_their_figures(page):
    page.wait(lambda: page.text("#latency") == "42 ms")
    assert near(look(page), LIVE_COLORS["restored"])
    assert page.text("#found") == f"{100 * DENSITY:.1f} %" and float(page.text("#pace")) > 0
    options = page.driver.find_elements("css selector", "#view option")
    assert [one.text for one in options] == ["yard (rtsp://***@10.0.0.7/a)", "gate (camera:0)"]
    assert not page.find("#empty").is_displayed() and page.text("#sight") == ""
    assert page.drain()[1] == []


def test_the_mask_and_what_came_are_seen_on_demand(page, server):
    for show in ("mask", "before", "restored"):
        page.find(f'[name="seen"][value="{show}"]').click()
        page.wait(lambda show=show: near(look(page), LIVE_COLORS[show]))
    assert server.seen[-1].path == "/live/yard?show=restored"


def test_the_photos_come_back(page, server):
    page.wait(lambda: page.text("#latency") != "")
    page.find("#watch").click()
    assert page.find("#empty").is_displayed() and not page.find("#live").is_displayed()
    assert page.text("#watch") == "Live"


def test_a_refusal_is_told_and_another_attempt_may_follow(page, server):
    page.wait(lambda: page.text("#latency") != "")
    server.plan.append(refuse(503, "no frame came from camera:0: No such file or directory"))
    choose(page, "gate")
    page.wait_text("#reason", "No frame came from camera:0: No such file or directory.")
    page.find("#again").click()
    page.wait(lambda: page.text("#latency") == "42 ms")
    assert server.seen[-1].path == "/live/gate?show=restored" and not page.find("#notice").is_displayed()


def test_a_failure_is_forgotten_with_its_camera(page, server):
    page.wait(lambda: page.text("#latency") != "")
    server.plan.append(refuse(503, "no frame came from camera:0: No such file or directory"))
    choose(page, "gate")
    page.wait(lambda: page.find("#notice").is_displayed())
    choose(page, "yard")
    page.wait(lambda: page.text("#latency") == "42 ms" and not page.find("#notice").is_displayed())


def test_the_end_is_told_with_its_reason(page, server):
    choose(page, "gate")
    page.wait(lambda: page.text("#latency") == "42 ms" and server.seen[-1].path.startswith("/live/gate"))
    server.release.set()
    page.wait_text("#reason", "The picture ended: camera:0 is lost: no such device.")
    assert not page.find("#figures").is_displayed()


def test_the_token_is_asked_for_and_sent(browser, server):
    server.views, server.token = VIEWS, "secret-of-the-server"
    browser.open(server.address)
    browser.wait_text("#why", "token")
    browser.find("#token").send_keys(server.token)
    browser.find("#door button").click()
    browser.wait(lambda: browser.find("#watch").is_displayed())
    browser.find("#watch").click()
    browser.wait(lambda: browser.text("#latency") == "42 ms")
    assert server.seen[-1].headers["authorization"] == "Bearer secret-of-the-server"


def test_a_stream_is_restored_on_the_page_of_a_real_server(browser, tiny_bundle):
    with StreamServer(make_stream([5] * 40, size=(320, 200)), ends=False) as source:
        address = f"tcp://me:password-7@127.0.0.1:{source.port}"
        with served(tiny_bundle, "--threads", "1", "--live", f"yard={address}") as server:
            browser.open_ready(f"http://{server.http}/")
            browser.wait(lambda: browser.find("#watch").is_displayed())
            browser.find("#watch").click()
            browser.wait(lambda: browser.text("#latency").endswith(" ms"))
            assert "password-7" not in browser.driver.page_source
            size = browser.run(
                "const one = document.getElementById('now'); return [one.naturalWidth, one.naturalHeight]"
            )
            assert size == [320, 200]
            box = browser.find("#now").rect
            screen = Image.open(io.BytesIO(browser.driver.get_screenshot_as_png())).convert("L")
            scale = min(box["width"] / 320, box["height"] / 200)
            left, top = box["x"] + (box["width"] - 320 * scale) / 2, box["y"] + (box["height"] - 200 * scale) / 2
            squares = [
                screen.getpixel((round(left + (place + 0.5) * SQUARE * scale), round(top + 4 * scale)))
                for place in range(6)
            ]
            assert [value > 127 for value in squares] == [True, False, True, False, False, False], "the number 5"
            assert browser.drain()[1] == []
            assert server.stop() == 0, "a viewer does not hold the server up"
    assert "password-7" not in "".join(server.lines)

"""Looking at a photo: the divider by mouse, touch and keys, the mask, the scale. Colours are read from the screen."""

import io

import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.serving.page.fake import encode

BEFORE, AFTER, TINT = (200, 40, 30), (55, 215, 225), (255, 45, 120)


@pytest.fixture
def page(browser, server):
    """A photo of one colour, 300 x 200, that is restored."""
    browser.open_ready(server.address)
    browser.hand_over("drop", "wall.png", encode(Image.new("RGB", (300, 200), BEFORE)))
    browser.wait(lambda: browser.state("after") == "shown")
    return browser


def look(page, across, down=0.1):
    """Return the colour at a place of the picture, given as shares of its width and height."""
    box = page.run("return document.querySelector('[data-part=frame]').getBoundingClientRect().toJSON()")
    screen = Image.open(io.BytesIO(page.driver.get_screenshot_as_png())).convert("RGB")
    return screen.getpixel((round(box["x"] + across * box["width"]), round(box["y"] + down * box["height"])))


def split_at(page):
    return float(page.find("#split").get_property("value"))


def near(color, expected):
    return all(abs(one - other) <= 3 for one, other in zip(color, expected, strict=True))


def test_before_is_left_of_the_divider_and_restored_right_of_it(page):
    page.wait(lambda: near(look(page, 0.25), BEFORE) and near(look(page, 0.75), AFTER))
    assert near(look(page, 0.48, 0.3), BEFORE)
    assert near(look(page, 0.52, 0.3), AFTER)


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ([Keys.HOME], 0),
        ([Keys.END], 100),
        ([Keys.ARROW_RIGHT] * 3, 53),
        ([Keys.ARROW_LEFT], 49),
        ([Keys.HOME, Keys.ARROW_LEFT], 0),
    ],
)
def test_keys_move_the_divider(page, keys, place):
    page.find("#split").send_keys(*keys)
    assert split_at(page) == place
    assert page.find("#split").get_attribute("aria-valuetext") == f"{place} % before, {100 - place} % restored"
    page.wait(lambda: near(look(page, 0.25), BEFORE if place > 25 else AFTER))
    assert near(look(page, 0.75), BEFORE if place > 75 else AFTER)


def test_the_mouse_drags_the_divider_and_its_end_stays_within_the_picture(page):
    width = page.find('[data-part="frame"]').rect["width"]
    grip = page.find('[data-part="grip"]')
    ActionChains(page.driver).drag_and_drop_by_offset(grip, round(-0.3 * width), 10).perform()
    assert split_at(page) == pytest.approx(20, abs=1)
    ActionChains(page.driver).click_and_hold(grip).move_by_offset(round(-0.2 * width) - 20, 0).release().perform()
    assert split_at(page) == 0


def test_a_click_on_the_picture_brings_the_divider_there(page):
    width = page.find('[data-part="frame"]').rect["width"]
    target = page.find('[data-part="frame"]')
    ActionChains(page.driver).move_to_element_with_offset(target, round(0.25 * width), 60).click().perform()
    assert split_at(page) == pytest.approx(75, abs=1)


def touch(page, kind, *points):
    page.driver.execute_cdp_cmd(
        "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]}
    )


def test_a_finger_drags_the_divider(page):
    page.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        box = page.find('[data-part="frame"]').rect
        middle = box["y"] + box["height"] / 2
        touch(page, "touchStart", (box["x"] + 0.5 * box["width"], middle))
        for share in (0.55, 0.6, 0.7, 0.8):
            touch(page, "touchMove", (box["x"] + share * box["width"], middle))
        touch(page, "touchEnd")
    finally:
        page.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    page.wait(lambda: split_at(page) == pytest.approx(80, abs=2))


def test_the_mask_is_drawn_over_both_sides_where_the_server_says(page):
    assert near(look(page, 0.1), BEFORE)
    page.find("#mask").click()
    page.run("const one = document.getElementById('opacity'); one.value = 100; one.dispatchEvent(new Event('input'))")
    page.wait(lambda: near(look(page, 0.1), TINT))
    assert near(look(page, 0.9), AFTER)
    page.find("#split").send_keys(Keys.HOME)  # now the restored picture is under the mask
    page.wait(lambda: near(look(page, 0.6), AFTER))
    assert near(look(page, 0.1), TINT)


def test_the_opacity_of_the_mask_mixes_its_colour_with_the_picture(page):
    page.find("#mask").click()
    page.find("#opacity").send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * 8)  # 10 % + 8 * 5 %
    mixed = tuple(round((one + other) / 2) for one, other in zip(BEFORE, TINT, strict=True))
    page.wait(lambda: near(look(page, 0.1), mixed))
    page.find("#mask").click()
    page.wait(lambda: near(look(page, 0.1), BEFORE))
    assert not page.find("#opacity").is_enabled()


def test_a_hundred_per_cent_is_a_pixel_for_a_pixel(page):
    page.find('[name="zoom"][value="1"]').click()
    rect = page.find('[data-part="frame"]').rect
    assert (rect["width"], rect["height"]) == (300, 200)
    page.find('[name="zoom"][value="fit"]').click()
    assert page.find('[data-part="frame"]').rect["width"] > 300
    assert page.text("#scale").endswith(" %")


@pytest.fixture
def large(browser, server):
    """A photo that is larger than its place at 200 %, which is chosen."""
    browser.open_ready(server.address)
    browser.hand_over("drop", "wall.png", encode(Image.new("RGB", (1601, 1203), BEFORE)))
    browser.wait(lambda: browser.state("after") == "shown")
    browser.find('[name="zoom"][value="2"]').click()
    return browser


def scrolled(page):
    return page.run(
        "const one = document.querySelector('[data-part=scroller]'); return [one.scrollLeft, one.scrollTop]"
    )


def test_keys_scroll_a_picture_that_is_larger_than_its_place(large):
    left, top = scrolled(large)
    assert left > 0 and top > 0, "its middle is seen first"
    scroller = large.find('[data-part="scroller"]')
    assert scroller.get_attribute("tabindex") == "0"
    scroller.send_keys(Keys.ARROW_DOWN)
    large.wait(lambda: scrolled(large)[1] > top)


def test_the_mouse_pulls_a_large_picture_along_and_leaves_the_divider(large):
    left, top = scrolled(large)
    frame = large.find('[data-part="scroller"]')
    chain = ActionChains(large.driver).move_to_element_with_offset(frame, -200, 100)
    chain.click_and_hold().move_by_offset(40, 30).release().perform()
    assert scrolled(large) == [left - 40, top - 30]
    assert split_at(large) == 50


def test_the_divider_never_stays_behind_what_is_seen(large):
    large.run("document.querySelector('[data-part=scroller]').scrollLeft = 0")
    large.wait(lambda: split_at(large) < 50)
    view = large.find('[data-part="scroller"]').rect
    grip = large.find('[data-part="grip"]').rect
    assert view["x"] <= grip["x"] and grip["x"] + grip["width"] <= view["x"] + view["width"]

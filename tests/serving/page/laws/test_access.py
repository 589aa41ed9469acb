"""The page for everyone: keys alone, names and colours, small windows, less motion, and scripts that it refuses."""

import re

import pytest
from PIL import Image, ImageOps
from selenium.webdriver.common.keys import Keys

from tests.serving.page.fake import draw_photo, encode, hold, refuse

FOCUSABLE = "button, a[href], select, input:not([type=file]), summary"


@pytest.fixture
def page(browser, server):
    browser.open_ready(server.address)
    return browser


def emulate(page, **features):
    media = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})


@pytest.fixture
def _plain_media(browser):
    yield
    emulate(browser)


def is_focus_seen(page):
    """Whether the element with the focus, or what is drawn in its place, has an outline."""
    return page.run(
        """const one = document.activeElement;
        const drawn = {split: ".grip", fit: ".zoom input:focus-visible + span"}[one.id || one.value];
        const style = getComputedStyle(drawn ? document.querySelector(drawn) : one);
        return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;"""
    )


def test_everything_is_reached_and_done_with_keys_alone(page, server, photo, tmp_path):
    assert page.tab_to("choose") == ["model", "choose"]
    assert is_focus_seen(page)
    server.plan = [hold]
    page.choose(photo)  # the system's dialog of files is none of the page's
    page.wait_text("#doing", "Restoring")
    page.tab_to("cancel")
    page.press(Keys.ENTER)
    page.wait(lambda: page.focused() == "again")
    page.press(Keys.ENTER)
    page.wait(lambda: page.find("#result").is_displayed())
    page.run("document.activeElement.blur(); document.getElementById('model').focus()")
    steps = ["add", "split", "fit", "mask", "png", "original", "SUMMARY", "remove"]
    for step in steps:
        passed = page.tab_to(step)
        assert passed == [step], f"between the steps the focus was at {passed}"
        assert is_focus_seen(page), step
        if step == "split":
            page.press(Keys.ARROW_RIGHT)
            assert page.find("#split").get_property("value") == "51"
        if step == "mask":
            page.press(Keys.SPACE)
            assert page.find('[data-part="mask"]').is_displayed()
            assert page.tab_to("opacity") == ["opacity"]
        if step == "png":
            page.press(Keys.ENTER)
    expected = encode(ImageOps.invert(Image.open(photo)))
    assert page.wait_file(tmp_path / "garden-restored.png") == expected
    page.press(Keys.ENTER)
    assert page.find("#empty").is_displayed() and page.focused() == "choose"


def test_the_focus_follows_when_the_button_for_the_first_photo_goes(page, photo):
    page.run("document.getElementById('choose').focus()")
    page.restore(photo)
    assert page.focused() == "add"


def test_the_focus_stays_on_a_small_picture_while_others_are_restored(page, server):
    server.plan = [hold]
    for name in ("a.png", "b.png"):
        page.hand_over("drop", name, encode(draw_photo(9, 9)))
    page.run("document.querySelector('#strip button:nth-child(2)').focus()")
    server.release.set()
    page.wait(lambda: page.find("#strip button:nth-child(2)").get_attribute("data-state") == "done")
    assert page.driver.switch_to.active_element.get_attribute("aria-label") == "b.png, restored"


def test_every_control_and_picture_has_a_name(page, photo):
    page.restore(photo)
    page.hand_over("drop", "b.png", encode(draw_photo(9, 9)))
    page.wait(lambda: page.text("#name") == "b.png" and page.state("after") == "shown")
    page.run("for (const one of document.querySelectorAll('#door, #notice, #again')) one.hidden = false")
    controls = page.run(
        "return [...document.querySelectorAll(arguments[0])].filter((one) => one.checkVisibility())", FOCUSABLE
    )
    names = {one.accessible_name for one in controls}
    assert "" not in names
    assert {"Model", "Token", "Divider between before and restored", "Show distorted pixels", "100 %"} <= names
    assert "Opacity of the mask" in names
    assert page.find('[data-part="before"]').get_attribute("alt") == "b.png, before"
    assert page.find('[data-part="after"]').get_attribute("alt") == "b.png, restored"


def test_what_happens_is_said_to_those_who_do_not_see_it(page, server, photo):
    status = page.find("#status")
    assert status.get_attribute("role") == "status"
    server.plan = [hold]
    page.choose(photo)
    page.wait(lambda: status.get_attribute("textContent") == "Restoring garden.jpg")
    server.release.set()
    page.wait(lambda: status.get_attribute("textContent").startswith("garden.jpg is restored; 12.3 %"))


def overflow(page):
    return page.run(
        """const width = document.documentElement.clientWidth;
        return [...document.querySelectorAll("body *")].filter((one) => {
          const box = one.getBoundingClientRect();
          const apart = one.closest(".scroller, .strip, .sr, .target"); // they scroll, or are not seen
          return box.width && !apart && (box.right > width + 1 || box.left < -1);
        }).map((one) => one.id || one.className || one.tagName)
          .concat(document.documentElement.scrollWidth > width ? ["scrolls"] : []);"""
    )


@pytest.mark.parametrize("width", [320, 390, 521, 860, 861, 1920])
def test_nothing_is_wider_than_the_window(browser, server, width):
    server.plan = [refuse(400, f"cannot read {'a-long-name-' * 12}.png")]
    browser.open_ready(server.address, width=width, height=700)
    browser.wait_text("#facts", "rain")
    assert overflow(browser) == []
    for number in range(12):
        browser.hand_over("drop", f"{'long' * 30}-{number}.png", encode(draw_photo(40, 30)))
    browser.wait(lambda: browser.find("#result").is_displayed())
    assert overflow(browser) == []
    browser.find("#strip button:nth-child(1)").click()
    browser.wait(lambda: browser.find("#reason").is_displayed())
    assert overflow(browser) == []
    browser.run("document.getElementById('door').hidden = false")
    assert overflow(browser) == []


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 800)])
@pytest.mark.parametrize("size", [(40, 900), (900, 40), (300, 200)], ids=["tall", "wide", "usual"])
def test_a_picture_fits_its_place_with_its_own_shape(browser, server, width, height, size):
    browser.open_ready(server.address, width=width, height=height)
    browser.hand_over("drop", "a.png", encode(Image.new("RGB", size)))
    browser.wait(lambda: browser.state("after") == "shown")
    frame, stage = browser.find('[data-part="frame"]').rect, browser.find("#stage").rect
    assert frame["width"] <= stage["width"] + 1 and frame["height"] <= stage["height"] + 1
    assert frame["width"] / frame["height"] == pytest.approx(size[0] / size[1], rel=0.03)
    assert stage["height"] < height
    assert max(frame["width"] - stage["width"], frame["height"] - stage["height"]) > -2 or size == (300, 200)


def luminance(color):
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.usefixtures("_plain_media")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_schemes(page, scheme):
    emulate(page, prefers_color_scheme=scheme)
    names = ("ground", "panel", "sunk", "ink", "quiet", "accent", "onaccent", "soft", "warn", "warnground", "edge")
    read = "return getComputedStyle(document.documentElement).getPropertyValue(`--${arguments[0]}`).trim()"
    colors = {name: page.run(read, name) for name in names}
    assert (luminance(colors["ground"]) > 0.5) is (scheme == "light")
    pairs = [(text, ground) for text in ("ink", "quiet") for ground in ("ground", "panel", "sunk")]
    pairs += [("accent", "ground"), ("accent", "soft"), ("onaccent", "accent"), ("warn", "warnground")]
    weak = {pair: contrast(colors[pair[0]], colors[pair[1]]) for pair in pairs}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < 4.5} == {}
    assert contrast(colors["edge"], colors["ground"]) >= 3, "a switch that is off is seen"


@pytest.mark.usefixtures("_plain_media")
def test_nothing_moves_for_those_who_want_no_motion(page, server, photo):
    moving = "return getComputedStyle(document.querySelector('[data-part=before]')).animationName"
    server.plan = [hold]
    page.choose(photo)
    page.wait_text("#doing", "Restoring")
    assert page.run(moving) == "breathe"
    emulate(page, prefers_reduced_motion="reduce")
    assert page.run(moving) == "none"


def test_the_browser_runs_no_script_but_the_pages_own(page):
    page.run(
        """const one = document.createElement("script");
        one.textContent = "document.title = 'taken'";
        document.head.append(one);
        const image = document.createElement("img");
        image.setAttribute("onerror", "document.title = 'taken'");
        image.src = "v2/nothing";
        document.body.append(image);
        return new Promise((done) => image.addEventListener("error", () => setTimeout(done)));"""
    )
    assert page.run("return document.title") == "SPAIR: restore photos"
    _, messages = page.drain()
    assert (
        len([one for one in messages if re.search(r"violates.*Content Security Policy|Refused to execute", one)]) >= 2
    )

"""Restoring photos on the page: the ways in, the figures, several photos, models, downloads."""

import pytest
from PIL import Image, ImageOps

from tests.serving.page.fake import draw_photo, encode, hold


def list_strip(browser):
    return [one.get_attribute("aria-label") for one in browser.driver.find_elements("css selector", "#strip button")]


@pytest.fixture
def page(browser, server):
    browser.open_ready(server.address)
    return browser


@pytest.mark.parametrize("way", ["choose", "drop", "paste"])
def test_a_photo_is_restored_whichever_way_it_comes(page, server, photo, way):
    if way == "choose":
        page.choose(photo)
    else:
        page.hand_over(way, photo.name, photo.read_bytes())
    page.wait(lambda: page.state("after") == "shown")
    (seen,) = server.inferences
    assert seen.path == "/v2/models/rain_bytes/infer"
    assert seen.file == photo.read_bytes()
    assert seen.head["parameters"] == {"format": "png"}
    assert [one["name"] for one in seen.head["outputs"]] == ["restored", "mask", "density"]
    assert page.text("#name") == "garden.jpg"
    assert page.text("#about").startswith("301 × 187 px · JPEG · ")


def test_what_is_dragged_over_the_page_shows_where_to_drop_it(page):
    drag = """const data = new DataTransfer();
        if (arguments[1]) data.items.add(new File(["x"], "x.png"));
        else data.setData("text/plain", "x");
        document.body.dispatchEvent(new DragEvent(arguments[0], {bubbles: true, cancelable: true, dataTransfer: data}));
        return document.getElementById("target").classList.contains("open");"""
    assert page.run(drag, "dragenter", True) is True
    assert page.run(drag, "dragleave", True) is False
    assert page.run(drag, "dragenter", False) is False, "text is no photo"


def test_pasted_text_is_left_alone(page, server):
    page.run(
        """const data = new DataTransfer();
        data.setData("text/plain", "words");
        document.body.dispatchEvent(new ClipboardEvent("paste", {bubbles: true, clipboardData: data}));"""
    )
    assert page.find("#empty").is_displayed()
    assert server.inferences == []


def test_density_and_the_time_of_each_stage_are_shown(page, photo):
    page.restore(photo)
    assert page.text(".share") == "12.3 %\nof the pixels were found distorted"
    rows = [one.text for one in page.driver.find_elements("css selector", "#stages tr")]
    assert rows == [
        "Waiting for its turn 1.3 ms",
        "Preparing 4.0 ms",
        "Finding distortion 123 ms",
        "Repairing 301 ms",
        "odd thing 2.0 ms",
    ]
    assert page.text("#total").endswith(" ms")
    assert page.find("#status").get_attribute("textContent") == (
        "garden.jpg is restored; 12.3 % of the pixels were found distorted"
    )


def test_several_photos_are_sent_one_after_another(page, server, tmp_path):
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(encode(draw_photo(20 + number, 9)))
    server.plan = [hold]
    page.choose(*paths)
    page.wait(lambda: list_strip(page) == ["0.png, restoring", "1.png, waiting", "2.png, waiting"])
    assert len(server.inferences) == 1
    server.release.set()
    page.wait(lambda: list_strip(page) == ["0.png, restored", "1.png, restored", "2.png, restored"])
    assert [one.file for one in server.inferences] == [path.read_bytes() for path in paths]
    page.find("#strip button:nth-child(3)").click()
    assert page.text("#name") == "2.png"
    assert page.text("#about").startswith("22 × 9 px · PNG")
    assert page.find("#strip button:nth-child(3)").get_attribute("aria-current") == "true"


def test_only_ready_models_are_offered_with_their_facts(page):
    names = [one.text for one in page.driver.find_elements("css selector", "#model option")]
    assert names == ["rain", "blur"]
    page.wait_text("#facts", "rain · tiny · fp32 · onnxruntime")


def test_another_model_restores_the_same_photo_once(page, server, photo):
    page.restore(photo)
    for name in ("blur", "rain", "blur"):
        page.find(f'#model option[value="{name}"]').click()
        page.wait(lambda: page.find("#result").is_displayed())
    assert [one.path for one in server.inferences] == ["/v2/models/rain_bytes/infer", "/v2/models/blur_bytes/infer"]
    page.wait_text("#facts", "blur · base · int8 · onnxruntime")


def test_the_downloaded_png_is_the_servers_byte_for_byte(page, server, photo, tmp_path):
    page.restore(photo)
    page.find("#png").click()
    expected = encode(ImageOps.invert(Image.open(photo)))
    assert page.wait_file(tmp_path / "garden-restored.png") == expected
    assert len(server.inferences) == 1


def test_the_format_of_the_photo_is_asked_for_once_and_downloaded(page, server, photo, tmp_path):
    page.restore(photo)
    assert page.text("#original") == "Download JPEG"
    page.find("#original").click()
    expected = encode(ImageOps.invert(Image.open(photo)), "JPEG")
    assert page.wait_file(tmp_path / "garden-restored.jpg") == expected
    (_, seen) = server.inferences
    assert seen.head["parameters"] == {"format": "input"}
    assert [one["name"] for one in seen.head["outputs"]] == ["restored"]
    (tmp_path / "garden-restored.jpg").unlink()
    page.find("#original").click()
    assert page.wait_file(tmp_path / "garden-restored.jpg") == expected
    assert len(server.inferences) == 2


@pytest.mark.parametrize("kind", ["PNG", "GIF", "AVIF"])
def test_what_the_server_writes_as_png_only_has_one_download(page, kind):
    page.hand_over("drop", "plan", encode(draw_photo(7, 5), kind))
    page.wait(lambda: page.find("#png").is_displayed())
    assert not page.find("#original").is_displayed()


def test_a_file_that_the_browser_cannot_show_is_restored_with_a_note(page, server):
    server.plan = [hold]
    page.hand_over("drop", "scan.tif", encode(draw_photo(), "TIFF"))
    page.wait_text(
        '[data-part="note"]', "This browser cannot show TIFF files, but the server reads many that it cannot."
    )
    server.release.set()
    page.wait_text(
        '[data-part="note"]', "cannot show TIFF files, so you see the restored picture only. It is complete."
    )
    page.wait(lambda: page.state("after") == "shown")
    assert not page.find("#split").is_displayed()
    assert page.text("#original") == "Download TIFF"


def test_a_single_pixel_is_restored(page):
    page.hand_over("paste", "image.png", encode(Image.new("RGB", (1, 1), (200, 10, 10))))
    page.wait(lambda: page.state("after") == "shown")
    assert page.text("#about").startswith("1 × 1 px")


def test_a_removed_photo_makes_room_for_its_neighbour_then_for_the_start(page, server):
    for name in ("a.png", "b.png"):
        page.hand_over("drop", name, encode(draw_photo(9, 9)))
    page.wait(lambda: list_strip(page) == ["a.png, restored", "b.png, restored"])
    assert page.text("#name") == "b.png"
    page.find("#remove").click()
    assert page.text("#name") == "a.png"
    page.find("#remove").click()
    assert page.find("#empty").is_displayed()
    assert page.focused() == "choose"
    page.hand_over("drop", "a.png", encode(draw_photo(9, 9)))
    page.wait(lambda: page.text("#name") == "a.png")


def test_no_request_leaves_the_server_and_the_console_stays_silent(browser, server, photo, tmp_path):
    browser.open_ready(server.address)
    browser.restore(photo)
    browser.find("#mask").click()
    browser.find('[name="zoom"][value="2"]').click()
    browser.find("#png").click()
    browser.wait_file(tmp_path / "garden-restored.png")
    requests, messages = browser.drain()
    assert any(address.endswith("/v2/models/rain_bytes/infer") for address in requests)
    foreign = [one for one in requests if not one.startswith((f"{server.address}/", f"blob:{server.address}/"))]
    assert foreign == []
    assert messages == []
    assert browser.run("return document.cookie + localStorage.length + sessionStorage.length") == "00"

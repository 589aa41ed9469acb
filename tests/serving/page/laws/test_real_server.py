"""The page of a real server, on a real bundle."""

import base64
import io

import numpy as np
from PIL import Image

from spair.runtime import Restorer
from tests.serving.page.fake import draw_photo, encode
from tests.serving.process import served


def test_a_photo_is_restored_as_the_restorer_does_it(browser, tiny_bundle, tmp_path):
    picture = draw_photo(61, 45)
    with Restorer.open(tiny_bundle, backend="onnxruntime") as restorer:
        expected = restorer(np.asarray(picture))
    with served(tiny_bundle, "--backend", "onnxruntime") as server:
        browser.open_ready(f"http://{server.http}/")
        browser.wait_text("#facts", "rain")
        browser.hand_over("drop", "garden.png", encode(picture))
        browser.wait(lambda: browser.state("after") == "shown")
        assert browser.text("#density") == f"{100 * expected.density:.1f} %"
        stages = [one.get_attribute("data-stage") for one in browser.driver.find_elements("css selector", "#stages tr")]
        assert {"queue", "net_l"} <= set(stages)
        browser.find("#png").click()
        restored = Image.open(io.BytesIO(browser.wait_file(tmp_path / "garden-restored.png")))
        mask = read_mask(browser)
        _, messages = browser.drain()
    np.testing.assert_array_equal(np.asarray(restored), expected.image)
    np.testing.assert_array_equal(mask, expected.mask)
    assert messages == []


def read_mask(browser):
    """Return the mask that is drawn, bool [H, W]."""
    pixels = browser.run_async(
        """const address = document.querySelector('[data-part=mask]').style.maskImage.slice(5, -2);
        const image = new Image();
        image.src = address;
        await image.decode();
        const canvas = new OffscreenCanvas(image.width, image.height);
        const context = canvas.getContext("2d");
        context.drawImage(image, 0, 0);
        const { data } = context.getImageData(0, 0, image.width, image.height);
        const gray = data.filter((_, index) => index % 4 === 0);
        return [image.width, image.height, btoa(String.fromCharCode(...gray))];"""
    )
    width, height, text = pixels
    gray = np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width)
    assert set(np.unique(gray)) <= {0, 255}
    return gray == 255

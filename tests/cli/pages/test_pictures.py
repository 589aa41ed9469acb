"""Pictures inside a page: their size and their pixels."""

import base64

import numpy as np

from spair.cli.pages import pictures


def decode(uri: str) -> np.ndarray:
    import pyvips

    kind, _, text = uri.partition(",")
    assert kind == "data:image/webp;base64"
    return pyvips.Image.new_from_buffer(base64.b64decode(text), "").numpy()


def test_large_pictures_are_scaled_down_and_small_ones_are_not():
    wide = np.zeros((10, 2000, 3), np.uint8)
    assert decode(pictures.embed_picture(wide)).shape[1] == pictures.WIDTH
    assert decode(pictures.embed_picture(wide, width=2000)).shape[1] == 2000
    assert decode(pictures.embed_picture(np.zeros((10, 7, 1), np.uint8), lossless=True)).shape[1] == 7


def test_a_drawing_keeps_its_pixels():
    drawing = np.random.default_rng(0).integers(0, 256, (9, 13, 3)).astype(np.uint8)
    np.testing.assert_array_equal(decode(pictures.embed_picture(drawing, lossless=True)), drawing)

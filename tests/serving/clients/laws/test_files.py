"""Picture files in and out, through the model NAME_bytes."""

from dataclasses import replace

import numpy as np
import pytest

from spair.runtime import Picture
from spair.runtime.images import decode_image, encode_image
from tests.serving.clients.pictures import find_with_density, make_picture
from tests.serving.clients.ways import FILE_WAYS, Ask, ask_grpc, ask_http


def make_files():
    """Make one file of each kind that people have."""
    rgb = make_picture((21, 34))
    deep = make_picture((21, 34)).astype(np.uint16) * 257 - 3 * (make_picture((21, 34), 5) > 90)
    pictures = {
        "png": (Picture(rgb, dpi=(300.0, 300.0)), "PNG"),
        "jpeg": (Picture(rgb), "JPEG"),
        "png-gray": (Picture(make_picture((21, 34), channels=1)), "PNG"),
        "png-alpha": (Picture(make_picture((21, 34), channels=4)), "PNG"),
        "png-16-bit": (Picture(deep.astype(np.uint16)), "PNG"),
        "tiff": (Picture(rgb), "TIFF"),
        "webp": (Picture(rgb), "WebP"),
        "one-pixel": (Picture(make_picture((1, 1))), "PNG"),
    }
    return {name: encode_image(picture, form) for name, (picture, form) in pictures.items()}


@pytest.fixture(scope="module")
def files():
    return make_files()


def ask_for(target, data, *outputs, **options):
    values = np.empty(1, object)
    values[0] = data
    return Ask(f"{target.name}_bytes", {"image": values}, outputs, options)


def read(values, name):
    return decode_image(bytes(values[name][0]))


def check(target, data, values):
    """Compare with what the restorer makes of the decoded picture."""
    picture = decode_image(data)
    restored, mask, density = target.reference(picture.pixels)
    answer, expected = read(values, "restored"), decode_image(encode_image(replace(picture, pixels=restored)))
    np.testing.assert_array_equal(answer.pixels, restored)
    assert (answer.format, answer.pixels.dtype) == ("PNG", picture.pixels.dtype)
    assert (answer.dpi, answer.icc, answer.exif) == (expected.dpi, expected.icc, expected.exif)
    np.testing.assert_array_equal(read(values, "mask").pixels[..., 0], mask * np.uint8(255))
    assert values["density"].tolist() == [np.float32(density)]


@pytest.mark.parametrize("name", make_files())
@pytest.mark.parametrize("ask", [ask_http, ask_grpc])
def test_every_kind_of_file_is_restored_in_its_own_depth(target, files, name, ask):
    check(target, files[name], ask(target, ask_for(target, files[name])).values)


@pytest.mark.parametrize("way", FILE_WAYS)
def test_files_travel_in_every_binary_way(target, files, way):
    reply = FILE_WAYS[way](target, ask_for(target, files["png"]))
    check(target, files["png"], reply.values)
    types = dict(zip(reply.values, reply.datatypes, strict=True))
    assert types == {"restored": "BYTES", "mask": "BYTES", "density": "FP32"}


def test_a_clean_file_keeps_its_pixels(target):
    picture = find_with_density(target, 0.0)
    values = ask_grpc(target, ask_for(target, encode_image(Picture(picture)))).values
    np.testing.assert_array_equal(read(values, "restored").pixels, picture)
    assert not read(values, "mask").pixels.any()


@pytest.mark.parametrize("ask", [ask_http, ask_grpc])
def test_a_file_comes_back_in_its_own_format_if_asked_for(target, files, ask):
    for name, form in (("png", "PNG"), ("tiff", "TIFF")):
        options = {"parameters": {"format": "input"}}
        values = ask(target, ask_for(target, files[name], "restored", **options)).values
        answer = read(values, "restored")
        assert (list(values), answer.format) == (["restored"], form)
        np.testing.assert_array_equal(answer.pixels, target.reference(decode_image(files[name]).pixels)[0])


def test_only_the_density_of_a_file_may_be_asked_for(target, files):
    values = ask_grpc(target, ask_for(target, files["jpeg"], "density")).values
    assert list(values) == ["density"]
    assert values["density"].tolist() == [np.float32(target.reference(decode_image(files["jpeg"]).pixels)[2])]

"""Requests are refused with a sentence that says what was given and what was expected."""

import numpy as np
import pytest

from spair.serving.contract import ENCODED, PIXELS
from spair.serving.errors import BadRequestError, TooLargeError
from spair.serving.options import Limits
from spair.serving.plane.checks import check_request
from spair.serving.plane.messages import InferRequest
from spair.serving.tensors import Tensor, pack_bytes

LIMITS = Limits(pixels=100)


def image(*shape, datatype="UINT8", name="image"):
    return Tensor(name, datatype, np.zeros(shape, np.float32 if datatype == "FP32" else np.uint8))


def check(*inputs, contract=PIXELS, **fields):
    return check_request(InferRequest("rain", inputs, **fields), contract, LIMITS)


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (100, 3, 1, 1), (1, 3, 1, 100), (4, 3, 5, 5)], ids=str)
def test_pictures_up_to_the_limit_pass(shape):
    tensor = image(*shape)
    assert check(tensor, outputs=("mask", "restored"), parameters={"anything": 1}) is tensor


@pytest.mark.parametrize("parameters", [{}, {"format": "png"}, {"format": "input"}])
def test_a_file_passes_with_each_format(parameters):
    tensor = pack_bytes("image", [b"x"])
    assert check(tensor, contract=ENCODED, parameters=parameters) is tensor


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ((), "the request has no input image, which the model rain needs"),
        ((image(1, 3, 2, 2, name="x"),), "there is no input 'x'; the model rain takes image"),
        ((image(1, 3, 2, 2), image(1, 3, 2, 2, name="x")), "there is no input 'x'; the model rain takes image"),
        ((image(1, 3, 2, 2), image(1, 3, 2, 2)), "the input image stands in the request twice; name it once"),
        ((image(1, 3, 2, 2, datatype="FP32"),), "the input image is FP32, expected UINT8"),
        ((pack_bytes("image", [b"x"]),), "the input image is BYTES, expected UINT8"),
        ((image(3, 2, 2),), r"the input image has the shape \[3, 2, 2\], expected \[N, 3, H, W\]"),
        ((image(1, 1, 3, 2, 2),), r"has the shape \[1, 1, 3, 2, 2\], expected \[N, 3, H, W\]"),
        ((image(1, 2, 2, 3),), r"has the shape \[1, 2, 2, 3\], expected \[N, 3, H, W\]"),
        ((image(1, 4, 2, 2),), r"has the shape \[1, 4, 2, 2\], expected \[N, 3, H, W\]"),
        ((image(),), r"has the shape \[\], expected \[N, 3, H, W\]"),
        ((image(0, 3, 2, 2),), r"has the shape \[0, 3, 2, 2\], expected at least one picture of one pixel"),
        ((image(1, 3, 0, 2),), r"has the shape \[1, 3, 0, 2\], expected at least one picture of one pixel"),
        ((image(1, 3, 2, 0),), r"has the shape \[1, 3, 2, 0\], expected at least one picture of one pixel"),
    ],
)
def test_inputs_that_no_server_could_answer_are_refused(inputs, sentence):
    with pytest.raises(BadRequestError, match=sentence):
        check(*inputs)


@pytest.mark.parametrize(
    ("tensor", "sentence"),
    [
        (image(1, 3, 2, 2), "the input image is UINT8, expected BYTES"),
        (pack_bytes("image", []), r"the input image has the shape \[0\], expected \[1\]"),
        (pack_bytes("image", [b"x", b"y"]), r"the input image has the shape \[2\], expected \[1\]"),
    ],
)
def test_a_request_with_a_file_holds_exactly_one(tensor, sentence):
    with pytest.raises(BadRequestError, match=sentence):
        check(tensor, contract=ENCODED)


@pytest.mark.parametrize(
    ("outputs", "sentence"),
    [
        (("x",), "there is no output 'x'; the model rain gives restored, mask, density"),
        (("mask", "mask"), "the output mask stands in the request twice; name it once"),
    ],
)
def test_outputs_that_there_are_not_are_refused(outputs, sentence):
    with pytest.raises(BadRequestError, match=sentence):
        check(image(1, 3, 2, 2), outputs=outputs)


@pytest.mark.parametrize("form", ["jpg", "PNG", "", 1, True])
def test_formats_that_there_are_not_are_refused(form):
    with pytest.raises(BadRequestError, match=f"the parameter format is {form!r}, expected png or input"):
        check(pack_bytes("image", [b"x"]), contract=ENCODED, parameters={"format": form})


def test_more_pictures_than_the_limit_are_refused_however_small():
    limits = Limits(pictures=3)
    assert check_request(InferRequest("rain", (image(3, 3, 1, 1),)), PIXELS, limits)
    with pytest.raises(TooLargeError, match="has 4 pictures, this server takes at most 3 in a request; send them in"):
        check_request(InferRequest("rain", (image(4, 3, 1, 1),)), PIXELS, limits)


@pytest.mark.parametrize("shape", [(1, 3, 1, 101), (101, 3, 1, 1), (2, 3, 7, 8)], ids=str)
def test_more_pixels_than_the_limit_are_refused(shape):
    count, _, height, width = shape
    sentence = (
        rf"has {count * height * width} pixels \({count} of {height}x{width}\), this server takes at most 100 in a "
        "request; send fewer or smaller pictures"
    )
    with pytest.raises(TooLargeError, match=sentence):
        check(image(*shape))


@pytest.mark.parametrize("threshold", [0, 0.25, 1.0, "best", "balanced"])
def test_a_request_may_choose_its_threshold(threshold):
    tensor = image(1, 3, 2, 2)
    assert check(tensor, parameters={"threshold": threshold}) is tensor


@pytest.mark.parametrize("threshold", [-0.1, 1.5, "much", "0.5", True])
def test_thresholds_that_there_are_not_are_refused(threshold):
    for tensor, contract in ((image(1, 3, 2, 2), PIXELS), (pack_bytes("image", [b"x"]), ENCODED)):
        with pytest.raises(BadRequestError, match="in the parameter threshold, .* expected a number from 0 to 1"):
            check(tensor, contract=contract, parameters={"threshold": threshold})

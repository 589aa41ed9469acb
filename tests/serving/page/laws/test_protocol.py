"""The page's own code for the protocol, run in a browser, against the server's code for tensors."""

import base64
import json
import struct

import numpy as np
import pytest
from PIL import Image

from spair.serving.tensors import Tensor, pack_bytes, read_raw, write_raw
from tests.serving.page.fake import encode

PARSE = """
const { parseAnswer } = await import("/page/protocol.js");
const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));
const { outputs, parameters } = parseAnswer(bytes.buffer, arguments[1]);
const plain = (value) => (value instanceof Uint8Array ? btoa(String.fromCharCode(...value)) : value);
return { outputs: Object.fromEntries([...outputs].map(([name, value]) => [name, plain(value)])), parameters };
"""
FILE = bytes(range(256))
DENSITY = Tensor("density", "FP32", np.asarray([0.25], np.float32))


@pytest.fixture
def page(browser, server):
    browser.open_ready(server.address)
    return browser


def make_answer(*tensors, sizes=None, extra=b"", **head):
    raws = [write_raw(one) for one in tensors]
    outputs = [
        {"name": one.name, "datatype": one.datatype, "shape": list(one.shape), "parameters": {"binary_data_size": size}}
        for one, size in zip(tensors, sizes or map(len, raws), strict=True)
    ]
    text = json.dumps({"outputs": outputs, **head}).encode()
    return text + b"".join(raws) + extra, str(len(text))


def parse(page, body, length):
    return page.run_async(PARSE, base64.b64encode(body).decode(), length)


@pytest.mark.parametrize("file", [b"", b"x", FILE], ids=["empty", "one byte", "all bytes"])
def test_a_request_is_read_by_the_server_as_it_was_meant(page, file):
    made = page.run_async(
        """const { packRequest } = await import("/page/protocol.js");
        const file = new Blob([Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0))]);
        const { body, headers } = packRequest(file, { format: "input", outputs: ["restored", "density"] });
        const bytes = new Uint8Array(await body.arrayBuffer());
        return { body: btoa(String.fromCharCode(...bytes)), headers };""",
        base64.b64encode(file).decode(),
    )
    body, size = base64.b64decode(made["body"]), int(made["headers"]["Inference-Header-Content-Length"])
    head = json.loads(body[:size])
    (image,) = head["inputs"]
    assert image["parameters"]["binary_data_size"] == len(body) - size
    assert read_raw(image["name"], image["datatype"], image["shape"], body[size:]).values.tolist() == [file]
    assert head["parameters"] == {"format": "input"}
    assert head["outputs"] == [{"name": name, "parameters": {"binary_data": True}} for name in ("restored", "density")]


def test_outputs_are_read_in_the_order_in_which_they_come(page):
    tensors = (DENSITY, pack_bytes("mask", [b""]), pack_bytes("restored", [FILE]))
    answer = parse(page, *make_answer(*tensors, parameters={"compute_ms": 1.5}))
    assert base64.b64decode(answer["outputs"]["restored"]) == FILE
    assert answer["outputs"]["mask"] == ""
    assert answer["outputs"]["density"] == [0.25]
    assert answer["parameters"] == {"compute_ms": 1.5}


def test_an_output_in_json_is_read_beside_binary_ones(page):
    body, length = make_answer(pack_bytes("restored", [FILE]))
    head = json.loads(body[: int(length)])
    head["outputs"].insert(0, {"name": "density", "datatype": "FP32", "shape": [1], "data": [0.5]})
    text = json.dumps(head).encode()
    answer = parse(page, text + body[int(length) :], str(len(text)))
    assert answer["outputs"]["density"] == [0.5]
    assert base64.b64decode(answer["outputs"]["restored"]) == FILE


def test_an_answer_without_the_header_is_json_as_a_whole(page):
    body = json.dumps({"outputs": [{"name": "density", "data": [1.0]}]}).encode()
    assert parse(page, body, None)["outputs"] == {"density": [1.0]}


def element(size, content):
    return Tensor("restored", "UINT8", np.frombuffer(struct.pack("<I", size) + content, np.uint8))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((b"", "0"), "header is not JSON"),
        ((b"\xff\xfe", "2"), "header is not JSON"),
        ((b"{}", "2"), "names no outputs"),
        ((b"null", "4"), "names no outputs"),
        ((b"{}", "3"), "said to have 3 of 2 bytes"),
        ((b"{}", "-1"), "said to have -1 of 2 bytes"),
        ((b"{}", "two"), "said to have two of 2 bytes"),
        (make_answer(DENSITY, sizes=[5]), "density ends after the last byte"),
        (make_answer(DENSITY, sizes=[-4]), "density ends after the last byte"),
        (make_answer(DENSITY, sizes=[3], extra=b""), "no list of FP32"),
        (make_answer(DENSITY, extra=b"abc"), "3 bytes belong to no output"),
        (make_answer(Tensor("mask", "UINT8", np.zeros(4, np.uint8))), "mask is UINT8, expected BYTES or FP32"),
    ],
)
def test_an_answer_that_breaks_the_protocol_is_refused_with_the_reason(page, answer, reason):
    assert reason in parse(page, *answer)["error"]


@pytest.mark.parametrize(
    ("size", "content"), [(4, b"abc"), (2, b"abc"), (2**32 - 1, b"abc")], ids=["short", "more after", "huge"]
)
def test_a_file_whose_length_does_not_fit_is_refused(page, size, content):
    body, length = make_answer(element(size, content))
    body = body.replace(b'"UINT8"', b'"BYTES"')
    assert "restored is not one whole file" in parse(page, body, length)["error"]


KINDS = ["PNG", "JPEG", "WebP", "TIFF", "GIF", "AVIF"]


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_files_are_told_by_their_content(page, kind):
    first = encode(Image.new("RGB", (3, 2)), kind)[:16]
    assert recognise(page, first)["name"] == kind


@pytest.mark.parametrize("content", [b"", b"\x89PNG", b"RIFF....WAVE", b"<svg/>", b"%PDF-1.7"])
def test_other_files_are_of_no_kind(page, content):
    assert recognise(page, content) is None


def recognise(page, content):
    return page.run_async(
        'return (await import("/page/protocol.js")).recognise(Uint8Array.from(arguments[0]));', list(content)
    )


def test_the_size_of_a_png_is_read_from_its_header(page):
    measure = 'return (await import("/page/protocol.js")).measurePng(Uint8Array.from(arguments[0]));'
    content = encode(Image.new("L", (301, 2)))
    assert page.run_async(measure, list(content)) == {"width": 301, "height": 2}
    assert "no PNG" in page.run_async(measure, list(encode(Image.new("L", (301, 2)), "JPEG")))["error"]
    assert "no PNG" in page.run_async(measure, list(content[:20]))["error"]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("writePercent(0)", "0 %"),
        ("writePercent(1)", "100 %"),
        ("writePercent(0.0001)", "< 0.1 %"),
        ("writePercent(0.99999)", "> 99.9 %"),
        ("writePercent(0.1234)", "12.3 %"),
        ("writeMilliseconds(0.04)", "0.0 ms"),
        ("writeMilliseconds(1234.5)", "1,235 ms"),
        ("writeBytes(1)", "1 bytes"),
        ("writeBytes(1500)", "2 kB"),
        ("writeBytes(2500000)", "2.5 MB"),
        ('nameRestored("a.b.jpeg", "png")', "a.b-restored.png"),
        ('nameRestored(".jpg", "png")', "photo-restored.png"),
        ('nameRestored("scan", "tif")', "scan-restored.tif"),
        ('nameStage("net_l")', "Finding distortion"),
        ('nameStage("new_stage")', "new stage"),
    ],
)
def test_numbers_are_written_for_people(page, call, text):
    assert page.run_async(f'const words = await import("/page/words.js"); return words.{call};') == text

"""The real Triton answers on a repository what ONNX Runtime and the restorer say, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest
import pyvips
import tritonclient.grpc as grpc_client
import tritonclient.http as http_client
from tritonclient.utils import InferenceServerException

from spair.runtime import Restorer
from spair.runtime.backends.onnxruntime import OnnxGraph
from spair.runtime.images import Picture, decode_image, encode_image
from tests.patience import PATIENCE
from tests.serving.triton.fixtures import PIXELS, USUAL, TritonServer

SIZES = [(1, 1, 1), (1, 1, 7), (1, 13, 17), (2, 9, 8), (3, 5, 23), (1, *reversed(USUAL))]
"""N, H, W: the smallest, odd ones, no multiples of the network's, and several pictures."""
OUTPUTS = ("restored", "mask", "density")


@pytest.fixture(scope="module")
def client(triton_server: TritonServer) -> Iterator[http_client.InferenceServerClient]:
    with http_client.InferenceServerClient(triton_server.http_address) as made:
        yield made


@pytest.fixture(scope="module")
def restorer(triton_server: TritonServer) -> Iterator[Restorer]:
    with Restorer.open(triton_server.graph, threads=1) as made:
        yield made


def make_pictures(count: int, height: int, width: int) -> np.ndarray:
    """Pictures of which the network marks some pixels, but not all."""
    return np.random.default_rng(height * width).integers(0, 256, (count, 3, height, width), np.uint8)


def ask(client: http_client.InferenceServerClient, images: np.ndarray, model: str) -> dict[str, np.ndarray]:
    given = http_client.InferInput("image", images.shape, "UINT8")
    given.set_data_from_numpy(images)
    answer = client.infer(model, [given])
    return {name: answer.as_numpy(name) for name in OUTPUTS}


def ask_file(
    client: http_client.InferenceServerClient, data: bytes, model: str, **parameters: str
) -> tuple[Picture, Picture, float]:
    """Restored picture, mask and density of a file."""
    given = http_client.InferInput("image", [1], "BYTES")
    given.set_data_from_numpy(np.array([data], object))
    answer = client.infer(model, [given], parameters=parameters or None)
    found = {name: answer.as_numpy(name) for name in OUTPUTS}
    assert {name: one.shape for name, one in found.items()} == dict.fromkeys(OUTPUTS, (1,))
    return decode_image(found["restored"][0]), decode_image(found["mask"][0]), float(found["density"][0])


def make_picture(kind: str, channels: int, **facts: Any) -> Picture:
    shape = (11, 14, channels)
    values = np.random.default_rng(channels).integers(0, np.iinfo(kind).max, shape, kind, endpoint=True)
    return Picture(values, **facts)


def test_all_models_are_ready_and_those_of_the_report(client, triton_server):
    found = {one["name"]: (one["version"], one["state"]) for one in client.get_model_repository_index()}
    assert found == {model["name"]: ("1", "READY") for model in triton_server.report["models"]}


def test_the_metadata_are_the_contract(client, triton_server):
    from spair.serving.contract import ENCODED, PIXELS

    for name, contract in ((triton_server.name, PIXELS), (f"{triton_server.name}_bytes", ENCODED)):
        told = client.get_model_metadata(name)
        for key, specs in (("inputs", contract.inputs), ("outputs", contract.outputs)):
            found = [(one["name"], one["datatype"], tuple(one["shape"])) for one in told[key]]
            assert sorted(found) == sorted((one.name, one.datatype, one.shape) for one in specs)


def test_models_were_warmed_up_before_they_were_ready(client, triton_server):
    requests = client.get_inference_statistics(triton_server.name)["model_stats"][0]["execution_count"]
    assert requests >= 2


@pytest.mark.parametrize("size", SIZES)
def test_pixels_are_those_of_onnxruntime_bit_for_bit(client, triton_server, size):
    images = make_pictures(*size)
    found = ask(client, images, triton_server.name)
    with OnnxGraph(triton_server.graph, threads=1) as graph:
        expected = graph.run({"image": images})
    for name in OUTPUTS:
        assert found[name].dtype == expected[name].dtype
        np.testing.assert_array_equal(found[name], expected[name])


def test_pixels_are_those_of_the_restorer_and_some_of_them_are_repaired(client, restorer, triton_server):
    images = make_pictures(2, 40, 56)
    found = ask(client, images, triton_server.name)
    for index, image in enumerate(images):
        expected = restorer(np.ascontiguousarray(image.transpose(1, 2, 0)))
        np.testing.assert_array_equal(found["restored"][index].transpose(1, 2, 0), expected.image)
        np.testing.assert_array_equal(found["mask"][index, 0], expected.mask)
        assert found["density"][index] == np.float32(expected.density)
        assert 0 < expected.density < 1
        assert not np.array_equal(expected.image, image.transpose(1, 2, 0))


def test_grpc_gives_the_same(client, triton_server):
    images = make_pictures(1, 13, 17)
    with grpc_client.InferenceServerClient(triton_server.grpc_address) as other:
        given = grpc_client.InferInput("image", images.shape, "UINT8")
        given.set_data_from_numpy(images)
        answer = other.infer(triton_server.name, [given])
    for name, expected in ask(client, images, triton_server.name).items():
        np.testing.assert_array_equal(answer.as_numpy(name), expected)


@pytest.mark.parametrize(("kind", "channels"), [("uint8", 3), ("uint8", 1), ("uint8", 4), ("uint16", 3), ("uint16", 4)])
def test_files_keep_depth_and_alpha_as_the_restorer_does(client, restorer, triton_server, kind, channels):
    picture = make_picture(kind, channels)
    found, mask, density = ask_file(client, encode_image(picture), f"{triton_server.name}_bytes")
    expected = restorer(picture.pixels)
    np.testing.assert_array_equal(found.pixels, expected.image)
    np.testing.assert_array_equal(mask.pixels[..., 0], expected.mask.astype(np.uint8) * 255)
    assert density == np.float32(expected.density)


def test_files_keep_profile_resolution_and_orientation(client, restorer, triton_server):
    image = pyvips.Image.new_from_buffer(encode_image(make_picture("uint8", 3)), "").copy(xres=4.0, yres=5.0)
    image = image.icc_transform("p3", input_profile="srgb").copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    data = image.write_to_buffer(".jpg", Q=90)
    picture = decode_image(data)
    assert picture.icc and picture.exif and (picture.height, picture.width) == (14, 11)
    found, _, _ = ask_file(client, data, f"{triton_server.name}_bytes")
    np.testing.assert_array_equal(found.pixels, restorer(picture.pixels).image)
    assert found.icc == picture.icc
    assert found.exif is not None
    assert found.dpi == pytest.approx(picture.dpi, rel=1e-3)  # PNG counts whole pixels per metre


@pytest.mark.parametrize(
    ("asked", "expected"), [({}, "PNG"), ({"format": "png"}, "PNG"), ({"format": "input"}, "JPEG")]
)
def test_the_format_of_the_answer_can_be_that_of_the_file(client, triton_server, asked, expected):
    data = encode_image(make_picture("uint8", 3), "JPEG")
    assert ask_file(client, data, f"{triton_server.name}_bytes", **asked)[0].format == expected


def make_bad_files() -> dict[str, tuple[bytes, dict[str, str], str]]:
    good = encode_image(make_picture("uint8", 3))
    wide = encode_image(Picture(np.zeros((1, PIXELS + 1, 1), np.uint8)))
    real = encode_image(Picture(np.full((3, 3, 3), 0.5, np.float32)), "TIFF")
    return {
        "empty": (b"", {}, r"the file is empty \(0 bytes\)"),
        "garbage": (b"garbage", {}, "it is not a picture"),
        "truncated": (good[: len(good) // 2], {}, "the file is damaged or truncated"),
        "large": (wide, {}, f"is more than {PIXELS} pixels"),
        "float": (real, {}, "PNG does not hold float32 pixels"),
        "format": (good, {"format": "bmp"}, "the parameter format is 'bmp', expected png or input"),
    }


@pytest.mark.parametrize("name", ["empty", "garbage", "truncated", "large", "float", "format"])
def test_bad_files_are_refused_in_a_sentence(client, triton_server, name):
    data, parameters, words = make_bad_files()[name]
    with pytest.raises(InferenceServerException, match=words) as raised:
        ask_file(client, data, f"{triton_server.name}_bytes", **parameters)
    assert raised.value.status() == "400"
    assert "Traceback" not in str(raised.value)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((1, 4, 5, 5), np.uint8), r"Expected \[-1,3,-1,-1\], got \[1,4,5,5\]"),
        (np.zeros((3, 5, 5), np.uint8), "unexpected shape"),
        (np.zeros((1, 3, 5, 5), np.float32), "data-type"),
    ],
)
def test_pixels_beyond_the_contract_are_refused(client, triton_server, images, words):
    kind = {"uint8": "UINT8", "float32": "FP32"}[images.dtype.name]
    given = http_client.InferInput("image", images.shape, kind)
    given.set_data_from_numpy(images)
    with pytest.raises(InferenceServerException, match=words):
        client.infer(triton_server.name, [given])


def test_raw_bytes_of_the_protocol_are_taken(triton_server):
    """No client's library is in between."""
    image = make_pictures(1, 3, 5)
    head = json.dumps({"inputs": [{"name": "image", "shape": image.shape, "datatype": "UINT8",
                                   "parameters": {"binary_data_size": image.nbytes}}]}).encode()  # fmt: skip
    url = f"http://{triton_server.http_address}/v2/models/{triton_server.name}/infer"
    headers = {"Inference-Header-Content-Length": str(len(head))}
    with urlopen(Request(url, head + image.tobytes(), headers), timeout=PATIENCE) as answer:
        told = json.load(answer)
    data = {one["name"]: np.array(one["data"], np.float32).reshape(one["shape"]) for one in told["outputs"]}
    with OnnxGraph(triton_server.graph, threads=1) as graph:
        for name, expected in graph.run({"image": image}).items():
            np.testing.assert_array_equal(data[name], expected)


def test_the_server_listens_to_this_machine_only(triton_server):
    assert {address.rpartition(":")[0] for address in (triton_server.http_address, triton_server.grpc_address)} == {
        "127.0.0.1"
    }

"""Answers equal those of a `Restorer`, and the plane describes what it serves."""

import asyncio
from dataclasses import asdict, replace

import numpy as np
import pytest
import pyvips
from google.protobuf import json_format
from tritonclient.grpc import model_config_pb2, service_pb2

from spair.runtime import Bundle, Picture, Restorer, UserError, read_image, write_image
from spair.runtime.cpu.choice import refuse_machine
from spair.runtime.images import decode_image, encode_image
from spair.serving.errors import BadRequestError, TooLargeError, UnknownModelError
from spair.serving.live.restoring import PlaneRestorer
from spair.serving.options import Limits, ModelOptions
from spair.serving.plane.messages import InferRequest
from spair.serving.plane.plane import DataPlane
from spair.serving.tensors import Tensor
from tests.runtime.images.samples import make_jpeg, pixels
from tests.serving.plane.planes import ask, running

LIMITS = Limits(pixels=20_000)


@pytest.fixture(scope="module")
def one(tiny_bundle):
    with running({"m": tiny_bundle, "other": tiny_bundle}, ModelOptions(threads=1), LIMITS) as started:
        yield started


@pytest.fixture(scope="module")
def restorer(tiny_bundle):
    with Restorer.open(tiny_bundle, threads=1) as opened:
        yield opened


def planar(count, height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 3, height, width), np.uint8)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 1), (1, 1, 9), (2, 37, 55), (1, 64, 64), (1, 9, 130)], ids=str)
def test_pixels_are_those_of_a_restorer_bit_for_bit(one, restorer, shape):
    values = planar(*shape)
    answer = one.infer(values, id="7")
    restored, mask, density = answer.outputs
    assert (answer.model, answer.version, answer.id) == ("m", "1", "7")
    assert [(each.name, each.datatype, each.shape) for each in answer.outputs] == [
        ("restored", "UINT8", values.shape),
        ("mask", "UINT8", (shape[0], 1, *shape[1:])),
        ("density", "FP32", (shape[0],)),
    ]
    for index in range(shape[0]):
        expected = restorer(np.ascontiguousarray(values[index].transpose(1, 2, 0)))
        np.testing.assert_array_equal(restored.values[index], expected.image.transpose(2, 0, 1))
        np.testing.assert_array_equal(mask.values[index, 0], expected.mask)
        assert density.values[index] == np.float32(expected.density)
    assert restored.values.dtype == mask.values.dtype == np.uint8 and density.values.dtype == np.float32


def test_pixels_in_any_layout_of_memory_are_taken(one):
    values = planar(2, 11, 13)
    strided = np.asfortranarray(values)
    np.testing.assert_array_equal(one.infer(strided).outputs[0].values, one.infer(values).outputs[0].values)


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_files_are_those_that_restoring_files_writes(one, restorer, tmp_path, kind, channels, suffix):
    write_image(tmp_path / f"a{suffix}", Picture(pixels(21, 35, channels, kind), dpi=(300.0, 300.0)))
    check_file(one, restorer, tmp_path / f"a{suffix}", tmp_path / "b.png")
    check_file(one, restorer, tmp_path / f"a{suffix}", tmp_path / f"b{suffix}", parameters={"format": "input"})


def check_file(one, restorer, source, target, **fields):
    """Compare an answer with the file that `spair restore` would write for it."""
    picture = read_image(source)
    result = restorer(picture.pixels)
    write_image(target, replace(picture, pixels=result.image))
    restored, mask, density = one.infer_file(source.read_bytes(), **fields).outputs
    assert restored.shape == mask.shape == density.shape == (1,)
    assert restored.values[0] == target.read_bytes()
    drawn = decode_image(mask.values[0])
    assert drawn.format == "PNG" and drawn.pixels.shape == (*picture.pixels.shape[:2], 1)
    np.testing.assert_array_equal(drawn.pixels[..., 0], result.mask * np.uint8(255))
    assert density.values[0] == np.float32(result.density)


def test_metadata_and_orientation_of_a_photo_are_kept(one, restorer, tmp_path):
    profile = bytes(pyvips.Image.black(4, 4, bands=3).copy(interpretation="srgb").icc_transform("p3").get(
        "icc-profile-data"
    ))  # fmt: skip
    source = make_jpeg(tmp_path / "a.jpg", orientation=6, make="Camera", icc=profile, array=pixels(20, 30))
    check_file(one, restorer, source, tmp_path / "b.png")
    check_file(one, restorer, source, tmp_path / "b.jpg", parameters={"format": "input"})
    back = decode_image(one.infer_file(source.read_bytes()).outputs[0].values[0])
    assert back.pixels.shape == (30, 20, 3) and back.icc == profile and b"Camera" in back.exif


def test_only_the_outputs_asked_for_are_given_in_their_order(one):
    answer = one.infer(planar(1, 5, 6), outputs=("density", "restored"))
    assert [each.name for each in answer.outputs] == ["density", "restored"]
    file = encode_image(Picture(pixels(5, 6)))
    assert [each.name for each in one.infer_file(file, outputs=("mask",)).outputs] == ["mask"]
    assert [each.name for each in one.infer(planar(1, 5, 6), outputs=("density",)).outputs] == ["density"]


def test_answers_carry_times_tiles_and_density(one, restorer):
    values = planar(2, 37, 55)
    parameters = one.infer(values).parameters
    results = [restorer(np.ascontiguousarray(each.transpose(1, 2, 0))) for each in values]
    assert parameters["compute_ms"] >= parameters["net_l_ms"] > 0 and parameters["queue_ms"] >= 0
    assert parameters["density"] == pytest.approx(np.mean([each.density for each in results]), abs=1e-6)
    assert [parameters[f"tiles_{path}"] for path in ("skipped", "packed", "dense")] == [
        sum(getattr(each.tiles, path) for each in results) for path in ("skipped", "packed", "dense")
    ]


def test_a_file_that_is_no_picture_is_a_bad_request(one):
    with pytest.raises(BadRequestError, match="cannot read the picture: it is not a picture; give a complete PNG"):
        one.infer_file(b"not a picture at all")
    with pytest.raises(BadRequestError, match=r"cannot read the picture: the file is empty \(0 bytes\)"):
        one.infer_file(b"")
    whole = encode_image(Picture(pixels(40, 40)))
    with pytest.raises(BadRequestError, match="the file is damaged or truncated"):
        one.infer_file(whole[: len(whole) // 2])


def test_a_file_with_too_many_pixels_is_refused_by_its_header(one):
    bomb = encode_image(Picture(np.zeros((4000, 5000, 1), np.uint8)))
    assert len(bomb) < 30_000
    with pytest.raises(TooLargeError, match="5000x4000 is more than 20000 pixels; cut it into parts"):
        one.infer_file(bomb)


def test_a_file_whose_format_cannot_hold_the_result_is_refused_before_the_work(one):
    gif = pyvips.Image.new_from_array(pixels(8, 8)).gifsave_buffer()
    with pytest.raises(BadRequestError, match="as GIF: that format is not written, expected one of PNG, JPEG, WebP"):
        one.infer_file(gif, parameters={"format": "input"})
    floats = encode_image(Picture(pixels(8, 8, 3, "float32")), "TIFF")
    with pytest.raises(BadRequestError, match="PNG does not hold float32 pixels; write TIFF instead"):
        one.infer_file(floats)
    assert one.infer_file(floats, parameters={"format": "input"}).outputs
    assert one.infer_file(floats, outputs=("mask",)).outputs


def test_requests_are_checked_before_they_wait(one):
    with pytest.raises(BadRequestError, match="the input image is FP32, expected UINT8"):
        one.run(one.plane.infer(InferRequest("m", (Tensor("image", "FP32", np.zeros((1, 3, 2, 2), np.float32)),))))
    with pytest.raises(TooLargeError, match="this server takes at most 20000 in a request"):
        one.infer(planar(2, 101, 100))


@pytest.mark.parametrize(("name", "version"), [("n", ""), ("m", "2"), ("m_bytes_bytes", ""), ("_bytes", ""), ("", "")])
def test_an_unknown_model_is_named_with_those_that_are_served(one, name, version):
    sentence = "there is no model .* of version .; served are m, m_bytes, other, other_bytes, of version 1"
    with pytest.raises(UnknownModelError, match=sentence):
        one.infer(planar(1, 2, 2), model=name, version=version)
    for call in (one.plane.is_model_ready, one.plane.describe_model, one.plane.configure_model):
        with pytest.raises(UnknownModelError, match=sentence):
            call(name, version)
    if name:
        with pytest.raises(UnknownModelError, match=sentence):
            one.plane.count(name, version)


def test_two_models_are_computed_in_two_processes(one):
    async def both():
        values = planar(1, 30, 40)
        return await asyncio.gather(*(one.plane.infer(ask(values, name)) for name in ("m", "other")))

    first, second = one.run(both())
    np.testing.assert_array_equal(first.outputs[0].values, second.outputs[0].values)
    assert one.pid("m") != one.pid("other")
    assert (first.model, second.model) == ("m", "other")


def test_models_are_described(one, tiny_bundle):
    assert one.plane.is_live and one.plane.is_ready and one.plane.is_model_ready("other_bytes", "1")
    assert [state.name for state in one.plane.list_models()] == ["m", "m_bytes", "other", "other_bytes"]
    described = one.plane.describe_model("m_bytes", "1")
    assert (described.name, described.versions, described.platform) == ("m_bytes", ("1",), "spair")
    backend = "onnxruntime" if refuse_machine() else "cpu"
    known = {"task": "rain", "preset": "tiny", "precision": "fp32", "backend": backend}
    assert described.facts == {**known, "threshold": "0.35", "digest": Bundle.open(tiny_bundle).digest}
    assert one.plane.describe_server().name == "spair" and "statistics" in one.plane.describe_server().extensions


@pytest.mark.parametrize("name", ["m", "m_bytes"])
def test_configurations_and_statistics_are_messages_of_triton(one, name):
    parsed = json_format.ParseDict(one.plane.configure_model(name), model_config_pb2.ModelConfig())
    assert parsed.name == name and [tensor.name for tensor in parsed.output] == ["restored", "mask", "density"]
    (entry,) = one.plane.count(name)
    statistics = json_format.ParseDict(entry, service_pb2.ModelStatistics())
    assert (statistics.name, statistics.version) == (name, "1")
    assert statistics.inference_count == entry["inference_count"]
    assert len(one.plane.count()) == 4


def test_names_that_would_be_served_twice_are_refused(tiny_bundle):
    with pytest.raises(UserError, match="two models would be served as m_bytes; give them other names"):
        DataPlane({"m": tiny_bundle, "m_bytes": tiny_bundle}, ModelOptions(), Limits())


def test_a_bundle_that_cannot_be_opened_is_told_by_its_sentence(tmp_path):
    with (
        pytest.raises(
            UserError, match=r"cannot serve m: cannot open the bundle .*: it does not exist, expected a folder"
        ),
        running({"m": tmp_path / "absent"}),
    ):
        raise AssertionError("it was started")


def test_options_reach_the_restorer(tiny_bundle):
    with (
        pytest.raises(UserError, match="cannot serve m: .* has no int8 graphs"),
        running({"m": tiny_bundle}, ModelOptions(precision="int8")),
    ):
        raise AssertionError("it was started")


@pytest.mark.parametrize("threshold", [0.36, "best", 0])
def test_a_request_has_its_own_threshold(one, restorer, threshold):
    values = planar(1, 21, 34)
    answer = one.infer(values, parameters={"threshold": threshold})
    expected = restorer(np.ascontiguousarray(values[0].transpose(1, 2, 0)), threshold=threshold)
    np.testing.assert_array_equal(answer.outputs[0].values[0], expected.image.transpose(2, 0, 1))
    np.testing.assert_array_equal(answer.outputs[1].values[0, 0], expected.mask)
    assert expected.density != restorer(np.ascontiguousarray(values[0].transpose(1, 2, 0))).density


@pytest.mark.parametrize("flips", [2, 4])
def test_answers_are_means_of_mirrored_pictures_where_the_model_was_opened_so(tiny_bundle, flips):
    image = pixels(21, 34)
    with Restorer.open(tiny_bundle, threads=1, flips=flips) as restorer, Restorer.open(tiny_bundle, threads=1) as plain:
        expected, once = restorer(image), plain(image)
    with running({"m": tiny_bundle}, ModelOptions(threads=1, flips=flips)) as started:
        answer = started.infer(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
        file = decode_image(started.infer_file(encode_image(Picture(image))).outputs[0].values[0]).pixels

        async def restore_frame():
            loop = asyncio.get_running_loop()
            return await asyncio.to_thread(PlaneRestorer(started.plane, "m", loop), image)

        frame = started.run(restore_frame())
        assert started.plane.describe_model("m", "1").facts["flips"] == str(flips)
    assert (expected.image != once.image).any()
    for restored in (answer.outputs[0].values[0].transpose(1, 2, 0), file, frame.image):
        np.testing.assert_array_equal(restored, expected.image)
    np.testing.assert_array_equal(answer.outputs[1].values[0, 0], expected.mask)
    assert {path: answer.parameters[f"tiles_{path}"] for path in asdict(expected.tiles)} == asdict(expected.tiles)

"""A served graph behind a restorer: its bytes as they are, other pictures by one rule, and what it refuses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime
import pytest

from spair.export.served.graph import make_served_graph
from spair.runtime import Bundle, Restorer
from spair.runtime.errors import GateError, UserError
from spair.runtime.files import sha256
from spair.runtime.pixels import from_bytes, to_bytes
from spair.runtime.served.network import ServedNetwork, find_facts, is_served
from tests.runtime.samples import photo


def as_kind(image: np.ndarray, kind: str) -> np.ndarray:
    full = {"uint8": 255, "uint16": 65535}.get(kind)
    return image if full is None else np.rint(image * full).astype(kind)


@pytest.fixture
def served(bundles, tmp_path):
    """Function that writes the served graph of a bundle."""

    def write(bundle, change=lambda model: None):
        model = make_served_graph(bundle)
        change(model)
        path = tmp_path / "own.onnx"
        onnx.save(model, path)
        return path

    return write


def run(path, images):
    return onnxruntime.InferenceSession(path).run(["restored", "mask", "density"], {"image": images})


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (24, 33)], ids=str)
@pytest.mark.parametrize("channels", [3, 4])
def test_8_bit_colours_are_what_onnx_runtime_gives(bundles, served, size, channels):
    path = served(bundles.spair())
    picture = as_kind(np.dstack([photo(*size), photo(*size, seed=3)])[..., :channels], "uint8")
    restored, mask, density = run(path, picture[..., :3].transpose(2, 0, 1)[None])
    with Restorer.open(path, threads=1) as restorer:
        result = restorer(picture)
    assert restorer.has_mask and restorer.backend == "onnxruntime"
    np.testing.assert_array_equal(result.image[..., :3], restored[0].transpose(1, 2, 0))
    np.testing.assert_array_equal(result.image[..., 3:], picture[..., 3:])
    np.testing.assert_array_equal(result.mask, mask[0, 0] == 1)
    assert np.float32(result.density) == density[0] and set(result.timings) >= {"pre", "model", "post"}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("layout", ["rgb", "rgba", "gray", "gray3d"])
def test_other_pictures_get_scaled_bytes_where_masked_and_keep_their_own_elsewhere(bundles, served, kind, layout):
    image = photo(19, 26)
    image[:10] = np.where(image[:10, :, :1] > 0.75, np.float32(0.8), image[:10, :, :1])
    picture = as_kind({"rgb": image, "rgba": np.dstack([image, image[..., 1]]), "gray": image[..., 0],
                       "gray3d": image[..., :1]}[layout], kind)  # fmt: skip
    path = served(bundles.spair())
    restored, mask, _ = run(path, to_bytes(picture).transpose(2, 0, 1)[None])
    with Restorer.open(path, threads=1) as restorer:
        result = restorer(picture)
    found = mask[0, 0] == 1
    assert result.image.dtype == picture.dtype and result.image.shape == picture.shape and found.any()
    np.testing.assert_array_equal(result.mask, found)
    np.testing.assert_array_equal(result.image[~found], picture[~found])
    np.testing.assert_array_equal(result.image, from_bytes(picture, restored[0].transpose(1, 2, 0), found))


def test_a_foreign_network_has_no_mask_and_full_density(bundles, served):
    path, picture = served(bundles.other()), as_kind(photo(12, 9), "uint8")
    restored, _, _ = run(path, picture.transpose(2, 0, 1)[None])
    with Restorer.open(path, threads=1) as restorer:
        result = restorer(picture)
        assert not restorer.has_mask
    assert result.mask is None and result.density == 1.0 and result.tiles.dense == 1
    np.testing.assert_array_equal(result.image, restored[0].transpose(1, 2, 0))


def test_a_batch_is_the_tensors_of_the_file(bundles, served):
    path = served(bundles.spair())
    images = np.stack([as_kind(photo(14, 11, kind), "uint8").transpose(2, 0, 1) for kind in ("none", "blobs", "full")])
    expected = run(path, images)
    with Restorer.open(path, threads=1) as restorer:
        assert isinstance(restorer.network, ServedNetwork)
        found = restorer.network.restore_batch(images)
        for value, wanted in zip((found.restored, found.mask, found.density), expected, strict=True):
            np.testing.assert_array_equal(value, wanted)
        with pytest.raises(ValueError, match=r"expected uint8 \[N, 3, H, W\]"):
            restorer.network.restore_batch(images.astype(np.float32))


def test_threads_share_a_restorer(bundles, served):
    pictures = [as_kind(photo(16 + seed, 20, seed=seed), "uint8") for seed in range(4)]
    with Restorer.open(served(bundles.spair()), threads=1) as restorer, ThreadPoolExecutor(4) as pool:
        expected = [restorer(picture).image for picture in pictures]
        for found, wanted in zip(pool.map(restorer, pictures), expected, strict=True):
            np.testing.assert_array_equal(found.image, wanted)
    restorer.close()


def test_values_that_are_not_finite_are_an_error(bundles, served):
    def spoil(model):
        bias = [one for one in model.graph.initializer if len(one.dims) == 1 and one.name.startswith("model/")][-1]
        bias.CopyFrom(onnx.numpy_helper.from_array(np.full(tuple(bias.dims), np.nan, np.float32), bias.name))

    words = "own.onnx gave values that are not finite; make the file again with"
    with Restorer.open(served(bundles.other(), spoil), threads=1) as restorer, pytest.raises(GateError, match=words):
        restorer(as_kind(photo(8, 8), "uint8"))


def test_a_given_mask_is_refused(bundles, served):
    words = "a mask was given, but this network takes none; leave the mask out"
    with Restorer.open(served(bundles.spair()), threads=1) as restorer, pytest.raises(UserError, match=words):
        restorer(as_kind(photo(8, 8), "uint8"), mask=np.ones((8, 8), bool))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tile": 64}, "is a served graph, which takes pictures whole; leave out all options of tiles"),
        ({"block_pixels": 9}, "takes pictures whole"),
        ({"tile_path": "dense"}, "takes pictures whole"),
        ({"precision": "int8"}, "is a served graph in fp32, not in int8; leave the precision out"),
        ({"backend": "tensorrt"}, "runs on onnxruntime or cuda, not on tensorrt; give one of these, or the bundle"),
        ({"threads": 0}, "the number of threads is 0"),
    ],
)
def test_options_that_do_not_fit_are_refused(bundles, served, options, words):
    with pytest.raises(UserError, match=words):
        Restorer.open(served(bundles.spair()), **options)


def drop_facts(model):
    del model.metadata_props[:]


def raise_version(model):
    next(entry for entry in model.metadata_props if entry.key == "spair.contract").value = "2"


def rename_output(model):
    model.graph.output[2].name = "share"
    next(node for node in model.graph.node if node.output[0] == "density").output[0] = "share"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop_facts, "is an ONNX file, but no served graph; make it of a bundle: spair export NAME.spair --served own"),
        (raise_version, "is a served graph of version 2, and this version of spair-rt reads version 1; make it"),
        (rename_output, "calls itself a served graph, but has other inputs, outputs or facts; make it"),
    ],
)
def test_other_files_are_refused_with_the_command_that_makes_one(bundles, served, change, words):
    with pytest.raises(UserError, match=words):
        Restorer.open(served(bundles.spair(), change))


def test_a_missing_or_damaged_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"there is no file .*absent\.onnx; make it of a bundle"):
        Restorer.open(tmp_path / "absent.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    with pytest.raises(UserError, match=r"cannot load .*bad\.onnx"):
        Restorer.open(tmp_path / "bad.onnx")


def test_a_folder_of_that_name_is_a_bundle(bundles, tmp_path):
    path = bundles.spair("odd.onnx").path
    assert not is_served(path) and is_served(tmp_path / "b.ONNX") and not is_served("rain")
    with Restorer.open(path, threads=1) as restorer:
        assert restorer(as_kind(photo(8, 8), "uint8")).image.shape == (8, 8, 3)


def test_weights_in_another_file_are_refused(bundles, served):
    def move(model):
        moved = model.graph.initializer[0]
        moved.data_location = onnx.TensorProto.EXTERNAL
        moved.external_data.add(key="location", value="weights.bin")

    path = served(bundles.spair(), move)
    for use in (Restorer.open, find_facts):
        with pytest.raises(
            UserError, match=r"takes weights from the file 'weights\.bin', so they could be any; make it"
        ):
            use(path)


def test_a_mask_in_another_type_is_refused(bundles, served):
    def change(model):
        for node in model.graph.node:
            node.output[:] = ["inner" if name == "mask" else name for name in node.output]
            node.input[:] = ["inner" if name == "mask" else name for name in node.input]
        model.graph.node.append(onnx.helper.make_node("Cast", ["inner"], ["mask"], to=onnx.TensorProto.INT8))
        mask = next(value for value in model.graph.output if value.name == "mask")
        mask.type.tensor_type.elem_type = onnx.TensorProto.INT8

    with pytest.raises(UserError, match=r"has other inputs, outputs or facts"):
        Restorer.open(served(bundles.spair(), change))


def test_a_file_with_another_digest_is_refused(bundles, served):
    path = served(bundles.spair())
    digest = sha256(path)
    with Restorer.open(path, expect_digest=[digest]) as restorer:
        assert restorer.facts["digest"] == digest
    with pytest.raises(UserError, match=rf"own\.onnx has the digest {digest}, expected 0000"):
        Restorer.open(path, expect_digest=["0" * 64])


def test_a_served_graph_takes_the_thresholds_of_its_bundle(tiny_bundle, served):
    picture = as_kind(photo(37, 53), "uint8")
    path = served(Bundle.open(tiny_bundle))
    with Restorer.open(path, threads=1) as mine, Restorer.open(tiny_bundle, threads=1, backend="onnxruntime") as other:
        assert mine.threshold == other.threshold == 0.35
        plain = mine(picture)
        for threshold in (0, 0.3, "best", 0.33, 0.35, 0.37, "fast", 1):
            found, expected = mine(picture, threshold=threshold), other(picture, threshold=threshold)
            np.testing.assert_array_equal(found.mask, expected.mask)
            assert (
                np.abs(found.image.astype(int) - expected.image).max() <= 1
            )  # of bytes whose floats differ by rounding
            if threshold == 0.35:
                np.testing.assert_array_equal(found.image, plain.image)
        gray = picture[..., 0]
        assert mine(gray, threshold=0).density == 1.0


def test_a_served_graph_without_a_mask_takes_no_threshold(bundles, served):
    with (
        Restorer.open(served(bundles.other()), threads=1) as restorer,
        pytest.raises(UserError, match="the threshold is 0.2, and the network finds no mask"),
    ):
        restorer(as_kind(photo(9, 9), "uint8"), threshold=0.2)

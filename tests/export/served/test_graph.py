"""One graph of a bundle gives what the restorer gives, in bytes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from spair.export.served.graph import make_served_graph
from spair.runtime import Bundle, Restorer
from spair.runtime.bundle.writer import write_bundle
from spair.runtime.errors import UserError
from tests.export.served.conftest import start
from tests.runtime.samples import photo

SIZES = [(1, 1), (7, 5), (8, 8), (61, 83), (130, 70)]
FLIPPED = 1e-3
"""Share of values that may differ by one step. Sums in another order move a value by about 1e-6 of its range, 3e-4 of a
step, and a value that lies so near to the middle between two bytes is as rare."""


def draw(count: int, size: tuple[int, int], kinds: tuple[str, ...]) -> np.ndarray:
    """Pictures [N, 3, H, W] uint8 whose red channel draws masks."""
    pictures = [photo(*size, kinds[index % len(kinds)], seed=index) for index in range(count)]
    return np.stack([np.rint(255 * picture).astype(np.uint8).transpose(2, 0, 1) for picture in pictures])


def compare(bundle: Bundle, images: np.ndarray, precision: str = "fp32", flipped: float = FLIPPED) -> list[float]:
    """Compare a batch with the restorer, and return the densities."""
    restored, mask, density = start(make_served_graph(bundle, precision))(images)
    assert (restored.dtype, restored.shape) == (np.uint8, images.shape)
    assert (mask.dtype, mask.shape) == (np.uint8, (len(images), 1, *images.shape[2:]))
    assert (density.dtype, density.shape) == (np.float32, (len(images),))
    with Restorer.open(bundle.path, backend="onnxruntime", precision=precision, threads=1) as restorer:
        for index, image in enumerate(images):
            expected = restorer(np.ascontiguousarray(image.transpose(1, 2, 0)))
            found = restored[index].transpose(1, 2, 0)
            difference = np.abs(found.astype(int) - expected.image)
            assert difference.max() <= 1 and (difference > 0).mean() <= max(flipped, 1 / difference.size)
            if expected.mask is None:
                assert mask[index].all()
            else:
                np.testing.assert_array_equal(mask[index, 0], expected.mask)
                np.testing.assert_array_equal(found[~expected.mask], image.transpose(1, 2, 0)[~expected.mask])
            assert density[index] == np.float32(expected.density)
    return [float(value) for value in density]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_pictures_of_any_size_and_number(tiny_bundle, size, count):
    images = np.random.default_rng(3).integers(0, 256, (count, 3, *size), dtype=np.uint8)
    assert max(compare(Bundle.open(tiny_bundle), images)) > 0 or size == (1, 1)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_kind_of_mask_in_one_batch(bundles, size):
    bundle = bundles.packed(crossover=0.5)
    kinds = ("none", "one pixel", "blobs", "full")
    densities = compare(bundle, draw(4, size, kinds))
    assert densities[0] == 0.0 and densities[3] == 1.0


@pytest.mark.parametrize("crossover", [0.0, 10.0])
def test_either_path_gives_the_same(bundles, crossover):
    compare(bundles.packed(crossover), draw(2, (40, 51), ("blobs", "full")))


def test_a_bundle_without_a_packed_graph_runs_dense(bundles):
    compare(bundles.spair(), draw(2, (23, 17), ("none", "blobs")))


def test_a_network_without_a_gate_changes_clean_pixels(bundles):
    bundle = bundles.spair(gate_output=False)
    images = draw(2, (24, 31), ("none", "blobs"))
    with Restorer.open(bundle.path, threads=1) as restorer:
        expected = [restorer(np.ascontiguousarray(image.transpose(1, 2, 0))) for image in images]
    restored, mask, _ = start(make_served_graph(bundle))(images)
    for index, one in enumerate(expected):
        assert np.abs(restored[index].transpose(1, 2, 0).astype(int) - one.image).max() <= 1
        np.testing.assert_array_equal(mask[index, 0], one.mask)


def test_a_picture_does_not_depend_on_its_neighbours(tiny_bundle):
    images = np.random.default_rng(5).integers(0, 256, (3, 3, 45, 38), dtype=np.uint8)
    images[1] = 128
    run = start(make_served_graph(Bundle.open(tiny_bundle)))
    together = run(images)
    for index in range(3):
        for whole, alone in zip(together, run(images[index : index + 1]), strict=True):
            np.testing.assert_array_equal(whole[index], alone[0])


def with_halves(bundle: Bundle, folder) -> Bundle:
    """A bundle whose fp16 graphs have the weights of fp32, rounded to halves and widened by a Cast."""
    files, parts = {}, {}
    for part, name in bundle.manifest.graphs["fp32"].items():
        model = onnx.load(bundle.graph("fp32", part))
        for tensor in model.graph.initializer:
            if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) != 4:
                continue
            half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{tensor.name}_half")
            model.graph.node.insert(0, helper.make_node("Cast", [half.name], [tensor.name], to=onnx.TensorProto.FLOAT))
            tensor.CopyFrom(half)
        parts[part] = name.replace("fp32", "fp16")
        files[parts[part]] = model.SerializeToString()
    raw = {**bundle.manifest.raw, "graphs": {**bundle.manifest.graphs, "fp16": parts}}
    return write_bundle(folder / "halves.spair", raw, {**bundle.contents(), **files})


def test_a_calibrated_precision_is_served_as_the_restorer_runs_it(bundles, tmp_path):
    bundle, images = with_halves(bundles.spair(), tmp_path), draw(2, (33, 20), ("blobs", "full"))
    compare(bundle, images, "fp16")
    plain, halves = (start(make_served_graph(bundle, name))(images)[0] for name in ("fp32", "fp16"))
    assert (plain != halves).any(), "the graphs of the precision are used"


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_foreign_network_has_a_full_mask(bundles, size):
    assert compare(bundles.other(), draw(2, size, ("blobs",))) == [1.0, 1.0]


def damage(bundle: Bundle, part: str, value: float, folder) -> Bundle:
    """Set a bias of a graph to a value."""
    model = onnx.load(bundle.graph("fp32", part))
    bias = next(
        tensor for tensor in reversed(model.graph.initializer) if len(tensor.dims) == 1 and tensor.data_type == 1
    )
    bias.CopyFrom(numpy_helper.from_array(np.full(tuple(bias.dims), value, np.float32), bias.name))
    name = bundle.manifest.graphs["fp32"][part]
    files = {**bundle.contents(), name: model.SerializeToString()}
    return write_bundle(folder / "damaged.spair", dict(bundle.manifest.raw), files, force=True)


@pytest.mark.parametrize("kind", ["none", "blobs"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_density_is_nan_where_the_first_stage_is_not_finite(bundles, tmp_path, kind, value):
    model = make_served_graph(damage(bundles.packed(0.5), "net_l", value, tmp_path))
    bias = [tensor for tensor in model.graph.initializer if tensor.name.startswith("net_l/")]
    assert bias, "the weights are in the graph"
    finite = np.isfinite(start(model)(draw(1, (16, 24), (kind,)))[2])
    with Restorer.open(tmp_path / "damaged.spair", threads=1) as restorer:
        try:
            restorer(np.ascontiguousarray(draw(1, (16, 24), (kind,))[0].transpose(1, 2, 0)))
            expected = True
        except Exception as error:
            assert "not finite" in str(error)
            expected = False
    assert finite == [expected]


def test_only_the_picture_whose_values_are_not_finite_has_no_density(bundles, tmp_path):
    bundle = damage(bundles.other(), "model", np.nan, tmp_path)
    assert np.isnan(start(make_served_graph(bundle))(draw(2, (9, 8), ("blobs",)))[2]).all()
    spair = damage(bundles.spair("s.spair"), "net_r", np.nan, tmp_path)
    density = start(make_served_graph(spair))(draw(2, (16, 16), ("none", "full")))[2]
    assert density[0] == 0.0 and np.isnan(density[1])


def test_the_file_states_facts_and_has_standard_operators_alone(tiny_bundle):
    bundle = Bundle.open(tiny_bundle)
    model = make_served_graph(bundle)
    onnx.checker.check_model(model, full_check=True)
    assert [opset.domain for opset in model.opset_import] == [""] and not model.functions
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts.pop("spair.version")
    assert facts == {
        "spair.contract": "1",
        "spair.name": "rain-tiny",
        "spair.kind": "spair",
        "spair.task": "rain",
        "spair.preset": "tiny",
        "spair.precision": "fp32",
        "spair.multiple": "8",
        "spair.gate_output": "1",
        "spair.checkpoint": bundle.manifest.checkpoint["sha256"],
    }


def test_equal_bundles_give_equal_files(tiny_bundle):
    first, second = (make_served_graph(Bundle.open(tiny_bundle)) for _ in range(2))
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)


def two_inputs(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("noise", 1, ["N", 1, "H", "W"]))


def larger_output(model: onnx.ModelProto) -> None:
    shape = ["N", 3, "2*H", "2*W"]
    model.graph.output[1].CopyFrom(helper.make_tensor_value_info("restored", 1, shape))


def halves(model: onnx.ModelProto) -> None:
    model.graph.output[1].CopyFrom(helper.make_tensor_value_info("restored", 10, ["N", 3, "H", "W"]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (two_inputs, "takes image, noise; only networks with one input can be served"),
        (larger_output, r"the output 'restored' .* has the sizes N x 3 x 2\*H x 2\*W, expected N x 3 x H x W"),
        (halves, "takes or gives restored in another type than float32"),
    ],
)
def test_a_foreign_network_that_restores_no_picture_is_refused(bundles, tmp_path, change, words):
    bundle = bundles.other()
    model = onnx.load(bundle.graph("fp32", "model"))
    change(model)
    files = {"graphs/fp32/model.onnx": model.SerializeToString()}
    changed = write_bundle(tmp_path / "changed.spair", dict(bundle.manifest.raw), files)
    with pytest.raises(UserError, match=words):
        make_served_graph(changed)


def test_a_foreign_network_of_other_channels_is_refused(bundles, tmp_path):
    bundle = bundles.other()
    raw = {**bundle.manifest.raw, "inputs": [{"name": "image", "channels": 1}]}
    changed = write_bundle(tmp_path / "gray.spair", raw, dict(bundle.contents()))
    with pytest.raises(UserError, match=r"takes a picture of 1 channels; only networks that take RGB \(3\)"):
        make_served_graph(changed)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"scale": 2}, "enlarges pictures by 2, and one graph gives"),
        ({"sizes": [[64, 64]]}, "listed sizes alone"),
        ({"one_picture": True}, "takes one picture at a time"),
    ],
    ids=str,
)
def test_a_foreign_network_of_another_contract_is_refused(bundles, tmp_path, facts, words):
    bundle = bundles.other()
    raw = {**bundle.manifest.raw, "network": {**bundle.manifest.raw["network"], **facts}}
    changed = write_bundle(tmp_path / "contract.spair", raw, dict(bundle.contents()))
    with pytest.raises(UserError, match=words):
        make_served_graph(changed)


def test_a_precision_that_the_bundle_lacks_is_refused(bundles):
    with pytest.raises(UserError, match=r"has no int8 graphs \(it has: fp32\)"):
        make_served_graph(bundles.spair(), "int8")

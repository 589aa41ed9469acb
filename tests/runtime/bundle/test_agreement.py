"""A manifest whose numbers are not those of its graphs is refused before anything is computed."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.runtime import Bundle, Restorer, UserError
from spair.runtime.bundle.writer import write_bundle
from tests.runtime.bundle.samples import edit, make_older
from tests.runtime.conftest import GraphWriter


@pytest.fixture
def exported(tiny_bundle, tmp_path):
    """The exported network, in a bundle of the test's own."""
    bundle = Bundle.open(tiny_bundle)
    return write_bundle(tmp_path / "own.spair", bundle.manifest.raw, bundle.contents())


@pytest.mark.parametrize(
    ("entry", "value", "reason"),
    [
        ("halo_l", 0, r"depend on pixels up to 73 away, and the manifest's halo_l is 0"),
        ("halo_r", 32, r"depend on pixels up to 36 away, and the manifest's halo_r is 32"),
        ("eps", 1e-3, r"computes with eps 1e-05, and the manifest says 0.001"),
        ("grid", 8, r"its 'keys' is batch.*x16x16, expected batch.*x8x8"),
        ("multiple", 4, r"works on every 8th pixel, which does not divide the manifest's multiple 4"),
        ("channels", [8, 24, 16], r"its 'f2' is batchx32x.*, expected batchx16x"),
        ("key_scale", 1, r"its 'keys' is batchx32x16x16, expected batchx24x16x16"),
        ("modulated", [2], r"it takes .*scale1.* expected"),
        ("scales", [0, 1, 2, 3], r"it gives f0, f1, f2, mask, expected f0, f1, f2, f3, mask for the scales"),
    ],
)
def test_a_number_that_the_graphs_contradict_is_refused(exported, entry, value, reason):
    network = {**exported.manifest.raw["network"], entry: value}
    if entry == "scales":
        network |= {"work": [0.25] * 4}
    path = edit(exported, network=network)
    with pytest.raises(UserError, match=rf"the manifest does not fit the graph .*{reason}.*; export the bundle again"):
        Restorer.open(path, backend="onnxruntime")


def test_larger_halos_and_numbers_that_graphs_do_not_state_are_taken(exported):
    path = edit(exported, network={**exported.manifest.raw["network"], "halo_l": 160, "halo_r": 96, "crossover": 0.1})
    with Restorer.open(path, backend="onnxruntime"):
        pass


def test_a_graph_whose_outputs_are_those_of_another_part_is_refused(exported):
    graphs = exported.manifest.raw["graphs"]["fp32"]
    swapped = {**graphs, "net_l": graphs["net_r"], "net_r": graphs["net_l"]}
    with pytest.raises(UserError, match=r"net_r\.onnx: it takes .*, expected image"):
        Bundle.open(edit(exported, graphs={"fp32": swapped})).graph("fp32", "net_l")


def lowered(content, kind):
    """The graph with a constant of a lower precision."""
    model = onnx.load_from_string(content)
    if kind == "fp16":
        model.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float16), "half"))
    else:
        scale = numpy_helper.from_array(np.float32(0.1), "scale")
        zero = numpy_helper.from_array(np.int8(0), "zero")
        model.graph.initializer.extend([scale, zero])
        model.graph.node.insert(0, helper.make_node("QuantizeLinear", ["image", "scale", "zero"], ["quantized"]))
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("fp32", "fp16", r"constants of 16 bits, and is listed as fp32"),
        ("fp32", "int8", r"QuantizeLinear nodes, and is listed as fp32"),
        ("fp16", "int8", r"QuantizeLinear nodes, and is listed as fp16"),
    ],
)
@pytest.mark.parametrize("kind", ["spair", "foreign"])
def test_graphs_of_two_precisions_that_changed_places_are_refused(bundles, kind, first, second, reason):
    bundle = bundles.spair() if kind == "spair" else bundles.other()
    parts = bundle.manifest.raw["graphs"]["fp32"]
    contents = {part: (bundle.path / name).read_bytes() for part, name in parts.items()}
    named = {p: {part: f"graphs/{p}/{part}.onnx" for part in parts} for p in ("fp32", "fp16", "int8")}
    files = {
        named[p][part]: data if p == "fp32" else lowered(data, p) for p in named for part, data in contents.items()
    }
    whole = write_bundle(bundles.folder / "whole.spair", {**bundle.manifest.raw, "graphs": named}, files)
    for precision in named:
        whole.check_graphs(precision)
    swapped = Bundle.open(edit(whole, graphs={**named, first: named[second], second: named[first]}))
    for precision in (first, second):
        with pytest.raises(UserError, match=reason):
            swapped.check_graphs(precision)


def foreign_of(bundles, element, place):
    """A foreign bundle whose picture goes in or comes out in another type."""
    g = GraphWriter(seed=0)
    content = onnx.load_from_string(g.save({"image": ["N", 3, "H", "W"]}, {}))
    value = helper.make_tensor_value_info("restored", TensorProto.FLOAT, None)
    content.graph.output.append(value)
    changed = content.graph.output[0] if place == "output" else content.graph.input[0]
    changed.type.tensor_type.elem_type = element
    cast = helper.make_node("Cast", ["image"], ["restored"], to=content.graph.output[0].type.tensor_type.elem_type)
    content.graph.node.append(cast)
    fields = bundles.other().manifest.raw
    return write_bundle(bundles.folder / "typed.spair", fields, {"graphs/fp32/model.onnx": content.SerializeToString()})


NO_PICTURES = ("UINT8", "INT8", "INT32", "INT64", "BOOL", "FLOAT8E4M3FN", "FLOAT8E5M2", "BFLOAT16", "STRING")


@pytest.mark.parametrize("element", NO_PICTURES)
@pytest.mark.parametrize("place", ["input", "output"])
def test_arrays_that_are_no_pictures_are_refused_when_a_bundle_is_opened(bundles, element, place):
    bundle = foreign_of(bundles, TensorProto.DataType.Value(element), place)
    verb = "gives 'restored'" if place == "output" else "takes 'image'"
    with pytest.raises(UserError, match=rf"it {verb} as {element.lower()}, expected an array of floats"):
        Restorer.open(bundle.path)


@pytest.mark.parametrize("element", ["FLOAT", "FLOAT16", "DOUBLE"])
def test_floats_of_16_to_64_bits_are_pictures(bundles, element):
    bundle = foreign_of(bundles, TensorProto.DataType.Value(element), "output")
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    with Restorer.open(bundle.path) as restorer:
        np.testing.assert_array_equal(restorer(picture).image, picture)


def test_a_stage_that_gives_a_mask_of_numbers_is_refused(bundles):
    model = onnx.load_from_string(bundles.net_l)
    next(value for value in model.graph.output if value.name == "mask").type.tensor_type.elem_type = TensorProto.INT32
    files = {"graphs/fp32/net_l.onnx": model.SerializeToString(), "graphs/fp32/net_r.onnx": bundles.net_r}
    bundle = write_bundle(bundles.folder / "typed.spair", bundles.spair().manifest.raw, files)
    with pytest.raises(UserError, match=r"it gives 'mask' as int32"):
        bundle.graph("fp32", "net_l")


def test_a_bundle_of_an_older_version_restores_by_the_rule_of_today(tiny_bundle, tmp_path):
    """Its two stages have no padding; only its whole graph has, and what uses that one refuses it."""
    bundle = Bundle.open(tiny_bundle)
    bundle.check_whole("fp32")
    older = make_older(bundle, tmp_path / "older.spair")
    picture = np.random.default_rng(3).random((33, 47, 3), np.float32)
    with Restorer.open(older.path, backend="onnxruntime", threads=1) as restorer:
        found = restorer(picture)
    with Restorer.open(tiny_bundle, backend="onnxruntime", threads=1) as restorer:
        np.testing.assert_array_equal(restorer(picture, mask=found.mask).image, found.image)
    with pytest.raises(
        UserError, match=r"model\.onnx of the whole network was exported by an older version, .*; export"
    ):
        older.check_whole("fp32")

"""An exported bundle as others see it: the checker, ONNX Runtime, TensorRT's parser; and the gates."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from spair.export import exporter, graphs
from spair.export.operators.table import DOMAIN
from spair.export.parity import check as parity
from spair.export.parity import measures, samples
from spair.network import SPAIR, load_checkpoint
from spair.network.operators import PLUGIN_ATTRIBUTES
from spair.runtime import Bundle, GateError, Restorer, UserError
from tests.runtime.bundle.samples import make_older
from tests.sharing import reuse_graphs

PARTS = ("model", "net_l", "net_r", "net_r_packed")
FOR_TENSORRT = PARTS[:3]  # a packed graph's sizes depend on the picture, which its parser refuses (NonZero)


@pytest.fixture(scope="module")
def model(tiny_checkpoint) -> SPAIR:
    return load_checkpoint(tiny_checkpoint).model


@pytest.mark.parametrize("part", PARTS)
def test_every_graph_passes_the_checker_and_loads_without_an_operator_library(tiny_bundle, part):
    path = Bundle.open(tiny_bundle).graph("fp32", part)
    onnx.checker.check_model(str(path), full_check=True)
    assert onnxruntime.InferenceSession(str(path)).get_inputs()[0].name == "image"


def test_every_sparse_node_carries_all_its_attributes_and_has_a_body(tiny_bundle):
    graph = onnx.load(Bundle.open(tiny_bundle).graph("fp32", "model"))
    bodies = {function.name: function for function in graph.functions}
    sparse = [node for node in graph.graph.node if node.domain == DOMAIN]
    assert len(sparse) == sum(Bundle.open(tiny_bundle).manifest.operators.values())
    for node in sparse:
        given = {attribute.name: attribute for attribute in node.attribute}
        assert {*bodies[node.op_type].attribute, *PLUGIN_ATTRIBUTES} == set(given)
        for name, value in PLUGIN_ATTRIBUTES.items():
            assert given[name].s.decode() == value


def test_operators_are_counted_from_the_network(model, tiny_bundle):
    manifest = Bundle.open(tiny_bundle).manifest
    assert dict(manifest.operators) == exporter.expected_operators(model)
    assert manifest.opset <= 19


@pytest.mark.parametrize("part", PARTS)
def test_the_graph_holds_no_trace_of_the_machine_it_was_made_on(tiny_bundle, part):
    content = Bundle.open(tiny_bundle).graph("fp32", part).read_bytes()
    for trace in (Path(torch.__file__).parent, Path(__file__).resolve().parents[2], "site-packages"):
        assert not re.search(re.escape(str(trace).encode()) + rb"\b", content), trace


@pytest.mark.parametrize("part", PARTS)
def test_files_are_of_an_ir_version_that_old_parsers_read(tiny_bundle, part):
    assert onnx.load(Bundle.open(tiny_bundle).graph("fp32", part)).ir_version == 9


@pytest.mark.parametrize("part", FOR_TENSORRT)
def test_every_node_has_a_name_of_its_own(tiny_bundle, part):
    graph = onnx.load(Bundle.open(tiny_bundle).graph("fp32", part))
    names = [node.name for node in graph.graph.node]
    assert all(names) and len(set(names)) == len(names)


def test_sizes_say_how_they_depend_on_the_pictures(tiny_bundle):
    bundle = Bundle.open(tiny_bundle)
    halves = {"f1": "/2", "f2": "/4"}
    for part in PARTS:
        graph = onnx.load(bundle.graph("fp32", part)).graph
        for value in (*graph.input, *graph.output):
            dims = value.type.tensor_type.shape.dim
            assert dims[0].dim_param == "batch"
            if not value.name.startswith(("scale", "shift", "key")):
                divisor = halves.get(value.name, "")
                assert [dim.dim_param for dim in dims[2:]] == [f"height{divisor}", f"width{divisor}"]


@pytest.mark.parametrize("size", [(1, 1), (37, 50), (200, 150)], ids=str)
def test_the_restorer_equals_pytorch(model, tiny_bundle, size):
    image = np.random.default_rng(4).random((*size, 3), np.float32)
    with Restorer.open(tiny_bundle, threads=1) as restorer:
        result = restorer(image)
    mask = torch.from_numpy(np.asarray(result.mask).reshape(1, 1, *size).astype(np.float32))
    with torch.no_grad():
        expected, wrong_mask = parity.restore_under(model, torch.from_numpy(image).permute(2, 0, 1)[None], mask)
    assert wrong_mask == 0
    np.testing.assert_allclose(result.image, expected[0].permute(1, 2, 0).numpy(), atol=1e-4)


def test_a_parity_report_names_every_case(tiny_bundle):
    report = Bundle.open(tiny_bundle).manifest.parity
    assert report["passed"]
    assert report["max_abs"] <= parity.TOLERANCE
    assert set(report["modules"]) == set(Bundle.open(tiny_bundle).manifest.graphs["fp32"])
    assert report["cases"] == sum(result["cases"] for result in report["modules"].values())
    assert report["modules"]["model"]["clean"]["max_abs"] == 0  # gated pixels are bit-identical
    for part in ("model", "net_r"):
        assert report["modules"][part]["masked"]["mean_abs"] > 0  # distorted pixels were there to compare


@pytest.mark.parametrize("part", ["model", "net_r"])
def test_parity_covers_every_density(tiny_bundle, part):
    covered = Bundle.open(tiny_bundle).manifest.parity["modules"][part]["densities"]
    one_pixel = 1 / (24 * 40) if part == "model" else 1 / (64 * 72)
    for density in (0.0, one_pixel, 1.0):
        assert density in covered
    for density in (0.02, 0.1, 0.5):
        assert any(abs(density - found) < 0.1 * density for found in covered), density


def check(part: str, model: SPAIR, file: Path) -> dict:
    """The parity report of one part."""
    return parity.check_parity({part: graphs.spair_graphs(model)[part]}, {part: file}, model, lambda part: None)


@pytest.mark.parametrize(
    ("part", "parameter"),
    [("net_l", "net_l.stem.bias"), ("net_r", "net_r.scm.0.pairs.1.second.weight"), ("model", "net_r.snl.value.weight")],
)
def test_parity_fails_when_a_weight_differs(tiny_checkpoint, tiny_bundle, part, parameter):
    changed = load_checkpoint(tiny_checkpoint).model
    with torch.no_grad():
        changed.get_parameter(parameter).mul_(1.05)
    assert not check(part, changed, Bundle.open(tiny_bundle).graph("fp32", part))["passed"]


def test_an_error_is_found_even_if_the_network_marks_no_pixel(tiny_checkpoint, tiny_bundle, tmp_path):
    blind = load_checkpoint(tiny_checkpoint).model
    with torch.no_grad():
        blind.net_l.head.bias[:4] -= 1000.0
        blind.get_parameter("net_r.scm.2.pairs.0.first.weight").mul_(1.05)
    exported = onnx.load(Bundle.open(tiny_bundle).graph("fp32", "model"))
    (bias,) = (tensor for tensor in exported.graph.initializer if tensor.name.endswith("net_l.head.bias"))
    bias.CopyFrom(onnx.numpy_helper.from_array(blind.net_l.head.bias.detach().numpy(), bias.name))
    onnx.save(exported, tmp_path / "blind.onnx")
    report = check("model", blind, tmp_path / "blind.onnx")
    assert not report["passed"] and report["modules"]["model"]["problem"] == ""


def test_parity_fails_where_the_padding_keeps_the_mask_that_was_found_there(model, tiny_bundle, tmp_path):
    older = make_older(Bundle.open(tiny_bundle), tmp_path / "older.spair").graph("fp32", "model")
    assert not check("model", model, older)["passed"]


class OnePixelOff:
    """A graph of Net_L, but for one pixel of its mask whose logit is decided."""

    def __init__(self, model: SPAIR) -> None:
        self.model = model

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with torch.no_grad():
            found = self.model.localize(torch.from_numpy(feeds["image"]))
        mask = found.mask.clone()
        furthest = (found.logits - self.model.logit_threshold).abs().flatten().argmax()
        mask.view(-1)[furthest] = 1.0 - mask.view(-1)[furthest]
        return {"mask": mask.numpy(), **{f"f{s}": feature.numpy() for s, feature in enumerate(found.features)}}


def test_one_wrong_pixel_of_a_mask_fails(model):
    result = parity.ModuleParity()
    with torch.no_grad():
        parity._check_localize(model, graphs.spair_graphs(model)["net_l"], OnePixelOff(model), result)
    assert result.wrong_mask == result.cases > 0
    assert not result.passed and "wrong mask pixels" in result.problem


@pytest.mark.parametrize(("share", "missing"), [(0.0, "distorted"), (1.0, "clean")])
def test_a_sparse_graph_must_be_compared_on_distorted_and_clean_pixels(model, monkeypatch, share, missing):
    zeros, mask = np.zeros((1, 3, 8, 8)), np.full((1, 1, 8, 8), share)
    result = parity.ModuleParity(sparse=True, cases=1)
    result.add(zeros, zeros, mask)
    assert not result.passed and result.problem == f"no {missing} pixel was compared"
    result.add(zeros, zeros, 1 - mask)
    assert result.passed
    monkeypatch.setattr(samples, "DENSITIES", (share,))
    spec = graphs.spair_graphs(model)["net_r"]
    result = parity.ModuleParity()
    with torch.no_grad():
        parity._check_restore(spec, Same(spec), result)
    assert result.problem == f"no {missing} pixel was compared"


class Same:
    """A graph of Net_R that is its module."""

    def __init__(self, spec: graphs.GraphSpec) -> None:
        self.module = spec.module

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"restored": self.module(*map(torch.from_numpy, feeds.values())).numpy()}


def test_an_error_that_is_not_a_number_fails():
    errors = parity.Errors()
    errors.add(np.array([np.nan, 0.0]), np.zeros(2))
    assert errors.max_abs == np.inf
    json.dumps(errors.to_json(), allow_nan=False)


def test_a_lost_operator_is_a_failed_export_and_nothing_is_written(tiny_checkpoint, tmp_path, monkeypatch):
    empty = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], []))
    monkeypatch.setattr(exporter, "export_graph", lambda spec: empty)
    with pytest.raises(
        GateError, match=r"the exported graph has the operators \{\}, the network \{'MaskedModulation': 2"
    ):
        exporter.export_checkpoint(tiny_checkpoint, tmp_path / "lost.spair")
    assert not list(tmp_path.iterdir())


def test_a_failed_parity_writes_nothing(tiny_checkpoint, tmp_path, monkeypatch, tiny_bundle):
    reuse_graphs(tiny_bundle, monkeypatch)
    monkeypatch.setattr(measures, "TOLERANCE", 0.0)
    with pytest.raises(GateError, match="differ from PyTorch by"):
        exporter.export_checkpoint(tiny_checkpoint, tmp_path / "wrong.spair")
    assert not list(tmp_path.iterdir())


def test_an_existing_bundle_is_refused_before_any_work(tiny_checkpoint, tiny_bundle, monkeypatch):
    monkeypatch.setattr(exporter, "load_checkpoint", lambda *a, **k: pytest.fail("it started to work"))
    with pytest.raises(UserError, match="exists; add --force"):
        exporter.export_checkpoint(tiny_checkpoint, tiny_bundle)


BUILD = """
import json, sys
import tensorrt_rtx as trt
logger = trt.Logger(trt.Logger.ERROR)
builder = trt.Builder(logger)
network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
parser = trt.OnnxParser(network, logger)
parsed = parser.parse(open(sys.argv[1], "rb").read())
errors = [parser.get_error(i).desc() for i in range(parser.num_errors)]
layers = [str(network.get_layer(i).type).split(".")[-1] for i in range(network.num_layers)]
config = builder.create_builder_config()
config.num_compute_capabilities = 1  # ahead of time, so that no GPU is needed
config.set_compute_capability(trt.ComputeCapability.SM86, 0)
profile = builder.create_optimization_profile()
for name, shapes in json.loads(sys.argv[2]).items():
    profile.set_shape(name, *shapes)
config.add_optimization_profile(profile)
engine = builder.build_serialized_network(network, config) if parsed else None
print(json.dumps({"errors": errors, "layers": layers, "bytes": engine.nbytes if engine else 0}))
"""


def profile_of(graph: onnx.GraphProto, sizes: list[tuple[int, int, int]]) -> dict[str, list[list[int]]]:
    """Shapes of every input for each (batch, height, width) of a picture, found by the names of its sizes."""

    def measure(dim: onnx.TensorShapeProto.Dimension, given: dict[str, int]) -> int:
        name, _, divisor = dim.dim_param.partition("/")
        return given[name] // int(divisor or 1) if name else dim.dim_value

    return {
        value.name: [
            [measure(dim, dict(zip(("batch", "height", "width"), size, strict=True))) for dim in shape]
            for size in sizes
        ]
        for value in graph.input
        for shape in [value.type.tensor_type.shape.dim]
    }


@pytest.mark.skipif(find_spec("tensorrt_rtx") is None, reason="TensorRT-RTX is not installed (extra: rtx)")
@pytest.mark.parametrize("part", FOR_TENSORRT)
def test_tensorrt_builds_an_engine_for_free_sizes_from_every_graph_through_its_bodies(tiny_bundle, tmp_path, part):
    """In a process of its own: a parser that finds something missing ends the process."""
    libraries = Path(find_spec("tensorrt_rtx_libs").submodule_search_locations[0])
    (tmp_path / "libtensorrt_rtx.so").symlink_to(next(libraries.glob("libtensorrt_rtx.so.*")))
    path = Bundle.open(tiny_bundle).graph("fp32", part)
    graph = onnx.load(path).graph
    least = (1, 9, 17) if part == "model" else (1, 8, 16)
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(path), json.dumps(profile_of(graph, [least, (1, 64, 64), (2, 128, 160)]))],
        env={**os.environ, "LD_LIBRARY_PATH": f"{tmp_path}:{libraries}"},
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert not result["errors"]
    convolutions = sum(node.op_type in ("Conv", "SparseConv2d") for node in graph.node)
    assert result["layers"].count("CONVOLUTION") == convolutions
    assert not [layer for layer in result["layers"] if "PLUGIN" in layer]
    weights = sum(4 * int(np.prod(tensor.dims)) for tensor in graph.initializer)
    assert result["bytes"] > weights, done.stdout + done.stderr

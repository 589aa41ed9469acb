"""An exported bundle as others see it: the checker, ONNX Runtime, TensorRT's parser; and the gates."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from spair.export import exporter, graphs, parity
from spair.export.functions import DOMAIN
from spair.network import SPAIR, load_checkpoint
from spair.network.operators import PLUGIN_ATTRIBUTES
from spair.runtime import Bundle, GateError, Restorer, UserError

PARTS = ("model", "net_l", "net_r")


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


def test_the_graph_holds_no_trace_of_the_machine_it_was_made_on(tiny_bundle):
    for part in PARTS:
        assert (
            str(Path(torch.__file__).parent).encode() not in Bundle.open(tiny_bundle).graph("fp32", part).read_bytes()
        )


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
    assert set(report["modules"]) == set(PARTS)
    assert report["cases"] == sum(result["cases"] for result in report["modules"].values())
    assert report["modules"]["model"]["clean"]["max_abs"] == 0  # gated pixels are bit-identical
    for part in ("model", "net_r"):
        assert report["modules"][part]["masked"]["mean_abs"] > 0  # distorted pixels were there to compare


@pytest.mark.parametrize(
    "parameter", ["net_l.stem.bias", "net_r.scm.0.pairs.1.second.weight", "net_r.snl.value.weight"]
)
def test_parity_fails_when_a_weight_differs(tiny_checkpoint, tiny_bundle, parameter):
    changed = load_checkpoint(tiny_checkpoint).model
    with torch.no_grad():
        changed.get_parameter(parameter).mul_(1.05)
    bundle = Bundle.open(tiny_bundle)
    files = {part: bundle.graph("fp32", part) for part in PARTS}
    report = parity.check_parity(graphs.spair_graphs(changed), files, changed, lambda part: None)
    assert not report["passed"]


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
    bundle = Bundle.open(tiny_bundle)
    loaded = iter(onnx.load(bundle.graph("fp32", part)) for part in PARTS)
    monkeypatch.setattr(exporter, "export_graph", lambda spec: next(loaded))
    monkeypatch.setattr(parity, "TOLERANCE", 0.0)
    with pytest.raises(GateError, match="differ from PyTorch by"):
        exporter.export_checkpoint(tiny_checkpoint, tmp_path / "wrong.spair")
    assert not list(tmp_path.iterdir())


def test_an_existing_bundle_is_refused_before_any_work(tiny_checkpoint, tiny_bundle, monkeypatch):
    monkeypatch.setattr(exporter, "load_checkpoint", lambda *a, **k: pytest.fail("it started to work"))
    with pytest.raises(UserError, match="exists; add --force"):
        exporter.export_checkpoint(tiny_checkpoint, tiny_bundle)


PARSE = """
import json, sys
import tensorrt_rtx as trt
logger = trt.Logger(trt.Logger.ERROR)
builder = trt.Builder(logger)
network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
parser = trt.OnnxParser(network, logger)
parsed = parser.parse(open(sys.argv[1], "rb").read())
errors = [parser.get_error(i).desc() for i in range(parser.num_errors)]
layers = [str(network.get_layer(i).type).split(".")[-1] for i in range(network.num_layers)]
print(json.dumps({"parsed": parsed, "errors": errors, "layers": layers}))
"""


@pytest.mark.skipif(find_spec("tensorrt_rtx") is None, reason="TensorRT-RTX is not installed (extra: rtx)")
@pytest.mark.parametrize("part", PARTS)
def test_tensorrt_parses_every_graph_through_its_bodies(tiny_bundle, tmp_path, part):
    """In a process of its own: a parser that finds something missing ends the process."""
    libraries = Path(find_spec("tensorrt_rtx_libs").submodule_search_locations[0])
    (tmp_path / "libtensorrt_rtx.so").symlink_to(next(libraries.glob("libtensorrt_rtx.so.*")))
    path = Bundle.open(tiny_bundle).graph("fp32", part)
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(path)],
        env={**os.environ, "LD_LIBRARY_PATH": f"{tmp_path}:{libraries}"},
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["parsed"], result["errors"]
    graph = onnx.load(path)
    convolutions = sum(node.op_type in ("Conv", "SparseConv2d") for node in graph.graph.node)
    assert result["layers"].count("CONVOLUTION") == convolutions
    assert not [layer for layer in result["layers"] if "PLUGIN" in layer]

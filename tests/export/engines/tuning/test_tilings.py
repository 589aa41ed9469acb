"""Tilings are found in libraries by their names, and set on the nodes of their layers."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from spair.export.counts.layers import find_layers
from spair.export.engines.graph import prepare_engine_graph
from spair.export.engines.tuning.tilings import ATTRIBUTE, list_alternatives, name_layer, name_nodes, set_tilings
from spair.plugins.compiler.kernels.tiles import list_alternatives as list_tilings
from spair.runtime import Bundle
from tests.plugins.conftest import LAYERS, TUNED, kernel_settings, plugins  # noqa: F401


@pytest.fixture(scope="module")
def source(tiny_bundle):
    """Graph of the whole network in a bundle."""
    return Bundle.open(tiny_bundle).graph("fp32", "model")


def run(content: bytes) -> np.ndarray:
    """Output of a prepared graph for a picture."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).random((1, 3, 40, 56), np.float32)
    return session.run(["restored"], {"image": image})[0]


def test_the_alternatives_of_a_library_are_those_it_was_compiled_with(plugins):  # noqa: F811
    found = list_alternatives(plugins.path.read_bytes())
    compiled = {entry["name"] for entry in plugins.report["kernels"] if len(entry["name"].split(".m")) == 2}
    assert {f"{layer}.{tiling}" for layer, tilings in found.items() for tiling in tilings} == compiled
    assert set(found) == {name_layer(layer) for layer in TUNED} < {name_layer(layer) for layer in LAYERS}
    for layer in TUNED:  # one that breaks a rule is left out
        assert set(found[name_layer(layer)]) <= {tiling.name for tiling in list_tilings(layer.weight, layer.outputs)}
        assert len(found[name_layer(layer)]) >= 2


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", {}),
        (b"\0convolve_layer.fp16.k3.c8.d8\0", {}),
        (b"\0convolve_layer.fp16.k3.m64n64w4s3\0convolve_layer.fp16.k3.m128n64w8s2\0",
         {"convolve_layer.fp16.k3": ["m128n64w8s2", "m64n64w4s3"]}),
        (b"convolve_layer.fp16.k3.m64n64w4s3 in a sentence\0", {}),
    ],
)  # fmt: skip
def test_names_end_with_nul_on_both_sides(content, found):
    assert list_alternatives(content) == found


def test_tilings_reach_the_nodes_of_their_layers_alone_and_change_no_result(source):
    plain = onnx.load_from_string(prepare_engine_graph(source))
    layers = [name_layer(layer) for _, layer in find_layers(plain)]
    wanted = {layers[0]: "m128n64w8s2", layers[-1]: "m64n16w4s3", "convolve_layer.of.another.network": "m1n1w1s1"}
    content = prepare_engine_graph(source, tilings=wanted)
    tiled = onnx.load_from_string(content)
    for node, layer in find_layers(tiled):
        (value,) = [onnx.helper.get_attribute_value(part) for part in node.attribute if part.name == ATTRIBUTE] or [
            None
        ]
        assert value == (wanted[name_layer(layer)].encode() if name_layer(layer) in wanted else None)
    assert len(set(layers)) > 2
    np.testing.assert_array_equal(run(content), run(prepare_engine_graph(source)))
    set_tilings(tiled, {})
    assert tiled == plain


def test_nodes_are_named_with_their_layers(source):
    model = onnx.load_from_string(prepare_engine_graph(source))
    layers = {node.name: name_layer(layer) for node, layer in find_layers(model)}
    chosen = {layer for layer in layers.values() if ".k3." in layer}
    assert name_nodes(model, chosen) == {node: layer for node, layer in layers.items() if layer in chosen} != {}
    assert name_nodes(model, []) == {}

"""Times are kept for each layer, GPU and library, and are not measured twice."""

from __future__ import annotations

import onnx
import pytest

from spair.export.counts.layers import find_layers
from spair.export.engines.graph import prepare_engine_graph
from spair.export.engines.tuning.choice import FIRST
from spair.export.engines.tuning.scenes import DENSITIES
from spair.export.engines.tuning.tilings import name_layer
from spair.export.engines.tuning.tune import tune
from spair.plugins.compiler.cache import Cache
from spair.runtime import Bundle

GPU = {"device": "a GPU", "driver": "12.9", "size": [64, 48]}


@pytest.fixture(scope="module")
def graph(tiny_bundle) -> onnx.ModelProto:
    return onnx.load_from_string(prepare_engine_graph(Bundle.open(tiny_bundle).graph("fp32", "net_r")))


@pytest.fixture
def layers(graph) -> list[str]:
    return sorted({name_layer(layer) for _, layer in find_layers(graph)})


def make_library(layers: list[str]) -> bytes:
    """Names as the table of a library has them."""
    return b"".join(f"\0{layer}.m128n64w8s2\0{layer}.m64n64w4s3\0".encode() for layer in layers)


class Engines:
    """Builder whose engines take half the time in one tiling of one layer."""

    def __init__(self, graph: onnx.ModelProto, layer: str) -> None:
        self.graph, self.layer, self.asked = graph, layer, []

    def __call__(self, tilings):
        self.asked.append(dict(tilings))
        factor = 0.5 if tilings.get(self.layer) == "m64n64w4s3" else 1.0
        times = {
            node.name: factor if name_layer(layer) == self.layer else 1.0 for node, layer in find_layers(self.graph)
        }
        return [times for _ in DENSITIES]


def test_the_fastest_tiling_of_each_layer_is_chosen_and_reported(graph, layers):
    engines = Engines(graph, layers[1])
    tuned = tune(graph, make_library(layers), GPU, Cache(), engines)
    assert tuned.tilings == {layers[1]: "m64n64w4s3"}
    assert len(engines.asked) == 3
    report = tuned.to_json()
    assert list(report) == layers
    assert report[layers[0]]["tiling"] is None and report[layers[1]]["tiling"] == "m64n64w4s3"
    assert set(report[layers[0]]["ms"]) == {FIRST, "m128n64w8s2", "m64n64w4s3"}
    first, best = (report[layers[1]]["ms"][name] for name in (FIRST, "m64n64w4s3"))
    assert best == [ms / 2 for ms in first]


def test_what_was_measured_is_kept_and_what_is_missing_is_measured(graph, layers, tmp_path):
    cache, library = Cache(tmp_path), make_library(layers)
    first = tune(graph, library, GPU, cache, Engines(graph, layers[0]))
    again = tune(graph, library, GPU, cache, lambda tilings: pytest.fail("timed again"))
    assert again == first
    for changed, other in (
        (GPU, library + b"!"),
        ({**GPU, "device": "another"}, library),
        ({**GPU, "size": [1, 1]}, library),
    ):
        engines = Engines(graph, layers[2])
        assert tune(graph, other, changed, cache, engines).tilings == {layers[2]: "m64n64w4s3"}
        assert engines.asked
    (kept, *_) = sorted(tmp_path.iterdir())
    kept.write_bytes(b"damaged")
    engines = Engines(graph, layers[0])
    assert set(tune(graph, library, GPU, cache, engines).times) == set(layers)


def test_a_library_without_alternatives_builds_no_engine(graph):
    tuned = tune(graph, b"", GPU, Cache(), lambda tilings: pytest.fail("an engine was built"))
    assert tuned.tilings == {} and tuned.to_json() == {}

"""Graphs for Polygraphy: the same nodes three times, with the types that only a plugin or a body could tell."""

from __future__ import annotations

import onnx
import pytest

from spair.export.engines.graph import prepare_engine_graph
from spair.export.operators.bodies import add_function_bodies
from spair.export.polygraphy.graphs import make_graphs
from spair.runtime.bundle.reader import Bundle


@pytest.fixture(scope="module")
def source(tiny_bundle):
    return Bundle.open(tiny_bundle).graph("fp32", "model")


@pytest.fixture(scope="module")
def models(source) -> dict[str, onnx.ModelProto]:
    return {kind: onnx.load_model_from_string(content) for kind, content in make_graphs(source).items()}


def read_clear(model: onnx.ModelProto) -> set[int]:
    """Values of the attribute that lets a plugin leave pixels unwritten."""
    return {one.i for node in model.graph.node for one in node.attribute if one.name == "clear_output"}


def test_onnx_runtime_gets_the_graph_that_engines_are_built_from(source):
    assert make_graphs(source)[""] == prepare_engine_graph(source, pixels=True)


def test_only_it_has_function_bodies(models):
    assert {kind: bool(model.functions) for kind, model in models.items()} == {
        "": True,
        ".plugins": False,
        ".layers": False,
    }


def test_only_in_the_graph_for_inner_tensors_is_every_pixel_written(models):
    assert {kind: read_clear(model) for kind, model in models.items()} == {
        "": {0},
        ".plugins": {0},
        ".layers": {1},
    }


@pytest.mark.parametrize("kind", [".plugins", ".layers"])
def test_every_tensor_has_its_type_and_number_of_dimensions(models, kind):
    """Polygraphy asks ONNX Runtime for those it misses, which has no plugins."""
    graph = models[kind].graph
    known = {value.name: value.type.tensor_type for value in (*graph.value_info, *graph.output)}
    for name in (name for node in graph.node for name in node.output if name):
        assert known[name].elem_type and known[name].HasField("shape"), name


@pytest.mark.parametrize("kind", [".plugins", ".layers"])
def test_with_bodies_again_it_is_the_same_network(models, kind):
    """The nodes, their names and all weights are those of the graph that ONNX Runtime runs."""
    again, reference = (onnx.ModelProto.FromString(models[name].SerializeToString()) for name in (kind, ""))
    add_function_bodies(again)
    for model in (again, reference):
        del model.graph.value_info[:]
        for node in model.graph.node:
            kept = [one for one in node.attribute if one.name != "clear_output"]
            del node.attribute[:]
            node.attribute.extend(kept)
    assert again.graph.SerializeToString(deterministic=True) == reference.graph.SerializeToString(deterministic=True)
    onnx.checker.check_model(again)

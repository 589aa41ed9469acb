"""Observation of activations: what is seen, what a layer reads, and who made a value."""

import dataclasses
import re

import numpy as np
import onnx
import pytest
from onnx import helper

from spair.calibration.conversion.layers import Use
from spair.calibration.conversion.weights import LARGEST_HALF
from spair.calibration.progress import silent
from spair.calibration.statistics import observe as observe_module
from spair.calibration.statistics.observe import (
    HEADROOM,
    Observations,
    ObservedGraph,
    Seen,
    check_finite,
    expose,
    made_by,
    observe,
)
from spair.runtime import GateError
from tests.calibration.conversion.graphs import make_chain, open_session


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("part", "layer"), [("net_l", "net_l.bottom.0.first"), ("net_r", "net_r.scm.0.pairs.0.first")])
@pytest.mark.parametrize("view", [1, 10**9])
def test_converted_graphs_with_infinities_are_refused_by_the_layer_that_made_them(
    network, tiles, monkeypatch, part, layer, view
):
    """Name the layer for any number of observed tensors.

    The graph's outputs are not finite either, and ONNX Runtime gives them first.
    """
    models = {name: onnx.ModelProto.FromString(network.models[name].SerializeToString()) for name in network.parts}
    weight = next(t for t in models[part].graph.initializer if t.name.endswith(f"{layer.removeprefix(part)}.weight"))
    values = onnx.numpy_helper.to_array(weight).copy()
    values.flat[0] = np.inf
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    monkeypatch.setattr(observe_module, "VIEW", view if view > 1 else 24 * tiles[0].pixels[..., 0].size)
    with pytest.raises(GateError, match=rf"the layer {re.escape(layer)} gives .* on tile \d once converted"):
        check_finite(network, models, tiles)


@pytest.fixture(scope="module")
def seen(network):
    """Observe one tile with both kinds of statistics."""
    from spair.calibration import Options
    from spair.calibration.statistics.pictures import CalibrationPicture
    from tests.calibration.conftest import make_picture

    tile = CalibrationPicture("tile", make_picture(4))
    return {
        kind: observe(network, [tile], Options("int8", statistics=kind, tile=32), silent) for kind in ("masked", "all")
    }


def test_histograms_hold_every_value_of_a_layer_or_those_it_reads_under_the_mask(network, seen):
    uses = [use for layer in network.layers for use in layer.uses]
    masked, every = (seen[kind].histograms for kind in ("masked", "all"))
    assert set(masked) == set(every) == {use.key for use in uses}
    for use in uses:
        if use.mask:
            assert 0 < masked[use.key].count <= every[use.key].count
        else:
            assert masked[use.key].count == every[use.key].count
    fine = [use.key for use in uses if use.mask and not use.radius]
    assert any(masked[key].count < every[key].count for key in fine), "the mask of the tile is not full"
    assert any(not use.mask for use in uses)


def test_every_part_and_tensor_is_seen_for_either_statistics(network, seen):
    assert set(seen["all"].tensors) == {*network.parts, "model"}
    assert seen["all"].tensors == seen["masked"].tensors
    for use in (use for layer in network.layers for use in layer.uses):
        part = next(layer.part for layer in network.layers if layer.name == use.layer)
        assert seen["all"].tensors[part][use.source].largest == seen["all"].histograms[use.key].largest


def test_small_passes_see_what_one_large_pass_sees(network, tiles, options, monkeypatch):
    whole = observe(network, tiles[:2], options, silent)
    monkeypatch.setattr(observe_module, "VIEW", 60 * tiles[0].pixels[..., 0].size)
    parts = observe(network, tiles[:2], options, silent)
    assert {part: set(found) for part, found in parts.tensors.items()} == {
        part: set(found) for part, found in whole.tensors.items()
    }
    # ONNX Runtime fuses other nodes where other tensors are shown, so sums of floats differ in their last bits
    for part, found in whole.tensors.items():
        for name, one in found.items():
            assert parts.tensors[part][name].largest == pytest.approx(one.largest, rel=1e-4), name
    for key, histogram in whole.histograms.items():
        assert parts.histograms[key].count == histogram.count


def dilate_naively(mask: np.ndarray, radius: int) -> np.ndarray:
    wide = np.zeros_like(mask)
    for row, column in np.ndindex(mask.shape):
        window = mask[max(0, row - radius) : row + radius + 1, max(0, column - radius) : column + radius + 1]
        wide[row, column] = window.any()
    return wide


@pytest.mark.parametrize("radius", [0, 1, 2, 9])
@pytest.mark.parametrize("kind", ["none", "corner", "some", "all"])
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 7)], ids=str)
def test_a_layer_reads_the_mask_and_its_surroundings(radius, kind, size):
    random = np.random.default_rng(1)
    mask = {"none": np.zeros(size), "all": np.ones(size), "some": random.random(size) < 0.2}.get(kind, np.zeros(size))
    mask = mask.astype(np.float32)
    mask[-1, -1] = max(mask[-1, -1], kind == "corner")
    source = random.random((1, 3, *size), dtype=np.float32)
    values = {"x": source, "m": mask[None, None]}
    use = Use("layer", 0, "y", "x", "m", radius)
    expected = source[0][:, dilate_naively(mask > 0.5, radius)]
    np.testing.assert_array_equal(observe_module._what_is_read(values, use, masked=True), expected.reshape(-1))
    for other, masked in ((use, False), (dataclasses.replace(use, mask=""), True)):
        assert observe_module._what_is_read(values, other, masked).size == source.size


def test_what_is_above_half_of_the_largest_half_overflows():
    limit = LARGEST_HALF / HEADROOM
    tensors = {"below": Seen(limit), "above": Seen(np.nextafter(limit, np.inf)), "zero": Seen()}
    assert Observations({}, {"net_r": tensors, "net_l": {}}).overflowing() == {
        "net_r": frozenset({"above"}),
        "net_l": frozenset(),
    }


def test_exposing_adds_each_tensor_once_and_leaves_the_graph_alone():
    model = make_chain("Relu")
    shown = expose(model, ["t0", "t1", "t0", "x", "y", "first.weight"])
    assert [value.name for value in shown.graph.output] == ["y", "t0", "t1"]
    assert [value.name for value in model.graph.output] == ["y"]
    x = np.random.default_rng(0).standard_normal((1, 4, 64, 64)).astype(np.float32)
    y, before, after = open_session(shown).run(None, {"x": x})
    np.testing.assert_array_equal(after, np.maximum(before, 0))
    np.testing.assert_array_equal(y, open_session(model).run(None, {"x": x})[0])


def test_an_observed_graph_shows_all_and_returns_its_own():
    class Graph:
        inputs, outputs = ("x",), ("y", "extra")

        def run(self, feeds):
            return {"y": feeds["x"] + 1, "extra": feeds["x"] + 2}

    shown = []
    graph = ObservedGraph(Graph(), ["y"], shown.append)
    assert graph.run({"x": 1}) == {"y": 2} and graph.outputs == ("y",)
    assert shown == [{"x": 1, "y": 2, "extra": 3}]


def test_values_are_made_by_the_nearest_layer_before_them():
    model = make_chain("Relu", "Sigmoid")
    assert [made_by(model, name) for name in ("t0", "t1", "t2", "y")] == ["first", "first", "first", "second"]
    model.graph.node.append(helper.make_node("Abs", ["x"], ["alone"], name="the node"))
    model.graph.node.append(helper.make_node("Neg", ["alone"], ["nameless"]))
    assert (made_by(model, "alone"), made_by(model, "nameless"), made_by(model, "x")) == ("the node", "Neg", "x")

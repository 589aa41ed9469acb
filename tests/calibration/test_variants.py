"""Variants of a network: converted graphs, and graphs that remember."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from spair.calibration.conversion.layers import is_quantized
from spair.calibration.conversion.plan import PrecisionPlan
from spair.calibration.variants import RecalledGraph, Variant, build
from spair.runtime import Bundle, UserError
from spair.runtime.bundle.agreement import check_padding
from tests.calibration.conftest import make_picture
from tests.calibration.conversion.graphs import make_plan
from tests.runtime.bundle.samples import make_older


class Doubling:
    """Graph that counts its runs."""

    inputs, outputs = ("x",), ("y",)

    def __init__(self) -> None:
        self.runs = 0

    def run(self, feeds):
        self.runs += 1
        return {"y": 2 * feeds["x"]}

    def close(self) -> None:
        pytest.fail("the owner closes the graph")


def test_a_graph_that_remembers_computes_each_input_once():
    graph = Doubling()
    recalled = RecalledGraph(graph)
    assert (recalled.inputs, recalled.outputs) == (("x",), ("y",))
    first, second = np.float32([[1, 2]]), np.float32([[1, 3]])
    for x in (first, second, first.copy(), second):
        np.testing.assert_array_equal(recalled.run({"x": x})["y"], 2 * x)
    assert graph.runs == 2
    recalled.close()


def test_what_a_caller_does_to_the_results_is_not_remembered():
    recalled = RecalledGraph(Doubling())
    recalled.run({"x": np.ones(2)}).clear()
    assert set(recalled.run({"x": np.ones(2)})) == {"y"}


def test_a_plan_makes_every_graph_of_the_bundle_and_float_twins(network):
    built = build(network, make_plan(network, "int8"))
    assert set(built.models) == set(network.models) == {"model", "net_l", "net_r", "net_r_packed"}
    assert set(built.twins) == set(network.parts) == {"net_l", "net_r"}
    assert set(built.conversions) == {"model", "net_l", "net_r"}
    assert all(is_quantized(model) for model in built.models.values())
    assert not any(is_quantized(model) for model in network.models.values())


@pytest.mark.parametrize("kinds", [("int8",), ("fp16", "fp16")], ids=["int8", "fp16"])
def test_a_converted_whole_graph_is_still_known_as_one_of_this_version(network, tmp_path, kinds):
    model = build(network, make_plan(network, *kinds)).models["model"]
    onnx.save(model, tmp_path / "model.onnx")
    check_padding(tmp_path / "model.onnx")


@pytest.mark.parametrize("quantize", ["weights", "activations"])
def test_a_diagnosis_makes_only_the_twins(network, quantize):
    built = build(network, make_plan(network, "int8", "fp32", quantize=quantize))
    assert not built.models and not built.conversions and set(built.twins) == {"net_l", "net_r"}


def test_a_plan_of_fp32_changes_no_bit_in_any_mode(network):
    """Compare pictures of graphs that were converted to what they were; only packing may change an order of sums."""
    built, pixels = build(network, PrecisionPlan({}, "fp32")), make_picture(4, 41, 57)
    with network.opened(network.models) as graphs, network.opened(built.models) as converted:
        for own in ({"net_l", "net_r"}, {"net_l", "net_r", "net_r_packed"}):
            before, after = (
                network.restorer({part: given[part] for part in own})(pixels) for given in (graphs, converted)
            )
            np.testing.assert_array_equal(after.image, before.image)
            np.testing.assert_array_equal(after.mask, before.mask)
            assert (before.image != pixels).any()


def test_graphs_are_closed_and_their_files_gone_after_use(network, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with network.opened({"net_l": network.models["net_l"]}) as graphs:
        assert set(graphs) == {"net_l"} and list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_of_an_older_version_is_refused(small_bundle, tmp_path):
    older = make_older(Bundle.open(small_bundle), tmp_path / "older.spair")
    with pytest.raises(UserError, match="was exported by an older version, .*; export the bundle again"):
        Variant(older, None)


def test_a_network_of_several_pictures_or_of_no_layer_is_refused(small_bundle, monkeypatch):
    from spair.calibration import variants

    bundle = Bundle.open(small_bundle)
    monkeypatch.setattr(variants, "find_layers", lambda graphs: [])
    with pytest.raises(UserError, match="has no layer with constant weights, so nothing can be calibrated"):
        Variant(bundle)
    manifest = dataclasses.replace(bundle.manifest, kind="foreign")
    several = SimpleNamespace(path=bundle.path, manifest=manifest, graph=lambda kind, part: bundle.graph(kind, "net_r"))
    with pytest.raises(UserError, match="takes several inputs, expected one picture"):
        Variant(several)

"""Ranges that follow from observations, and the loss of each layer alone."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
from onnx import numpy_helper

from spair.calibration.accuracy.sensitivity import Ranges, find_ranges, lone_plan, measure_sensitivities
from spair.calibration.conversion.layers import find_layers
from spair.calibration.conversion.weights import LARGEST_HALF
from spair.calibration.statistics.observe import HEADROOM, Observations, Seen
from spair.calibration.statistics.ranges import Histogram
from tests.calibration.conversion.graphs import make_chain


@pytest.fixture
def trial():
    """Make the trial of a chain of two layers, x -> first -> t0 -> Relu -> t1 -> second -> y."""
    models = {"net_r": make_chain("Relu")}
    return SimpleNamespace(network=SimpleNamespace(models=models, layers=find_layers(models)))


def observe_largest(**largest: float) -> Observations:
    return Observations({}, {"net_r": {name: Seen(value) for name, value in largest.items()}})


@pytest.mark.parametrize(
    ("tensor", "forced"), [("x", {"first"}), ("t0", {"first"}), ("t1", {"second"}), ("y", {"second"})]
)
def test_a_layer_that_makes_or_reads_what_no_half_holds_is_forced(trial, options, tensor, forced):
    limit = LARGEST_HALF / HEADROOM
    found = find_ranges(trial, observe_largest(**{tensor: np.nextafter(limit, np.inf)}), options)
    assert found.full == {"net_r": frozenset({tensor})} and found.forced == forced
    found = find_ranges(trial, observe_largest(**{tensor: limit}), options)
    assert found.full == {"net_r": frozenset()} and found.forced == frozenset()


def test_a_tensor_of_another_part_forces_no_layer(trial, options):
    seen = Observations({}, {"model": {"t0": Seen(1e9)}, "net_r": {}})
    assert find_ranges(trial, seen, options).forced == frozenset()


@pytest.mark.parametrize(("weight", "forced"), [(LARGEST_HALF, set()), (-LARGEST_HALF * 1.01, {"second"})])
def test_a_layer_whose_weights_no_half_holds_is_forced(trial, options, weight, forced):
    stored = next(t for t in trial.network.models["net_r"].graph.initializer if t.name == "second.weight")
    values = numpy_helper.to_array(stored).copy()
    values[1, 2] = weight
    stored.CopyFrom(numpy_helper.from_array(values, stored.name))
    assert find_ranges(trial, observe_largest(), options).forced == forced


def test_scales_are_those_of_the_chosen_calibrator(trial, options):
    values = np.append(np.random.default_rng(0).standard_normal(9999), 50.0).astype(np.float32)
    histogram = Histogram()
    histogram.add(values)
    seen = Observations({("first", 0): histogram}, {"net_r": {}})
    found = {}
    for calibrator in ("minmax", "percentile"):
        chosen = SimpleNamespace(calibrator=calibrator, percentile=99.0)
        (found[calibrator],) = find_ranges(trial, seen, chosen).scales.values()
        assert found[calibrator] == histogram.scale(calibrator, 99.0)
    assert found["percentile"] < found["minmax"] / 4


def test_one_layer_alone_is_lower_and_all_others_stay_float(trial, options):
    ranges = Ranges({("first", 0): 0.5}, {"net_r": frozenset({"t0"})}, frozenset())
    plan = lone_plan(trial.network.layers[0], "int8", ranges, options)
    assert (plan.layers, plan.rest) == ({"first": "int8"}, "fp32")
    assert (plan.scales, plan.full, plan.quantize) == (ranges.scales, ranges.full, "both")


def test_every_layer_is_measured_alone_and_told(trial, options):
    asked, told = [], []

    def loss(plan):
        asked.append(dict(plan.layers))
        return {"first": 0.25, "second": 0.0}[next(iter(plan.layers))]

    @contextlib.contextmanager
    def progress(what):
        told.append(what)
        yield lambda *step: told.append(step)

    trial.loss = loss
    found = measure_sensitivities(trial, "fp16", Ranges({}, {}, frozenset()), options, progress)
    assert found == {"first": 0.25, "second": 0.0}
    assert asked == [{"first": "fp16"}, {"second": "fp16"}]
    assert told == ["fp16 sensitivity:", (1, 2, "first"), (2, 2, "second")]

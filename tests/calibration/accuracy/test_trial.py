"""Losses of plans on tiles."""

import dataclasses

import pytest

from spair.calibration.accuracy import trial as trial_module
from spair.calibration.accuracy.measures import CAP, estimate_loss, mean_square
from spair.calibration.accuracy.trial import open_trial
from spair.calibration.conversion.plan import PrecisionPlan
from spair.calibration.journal import Journal
from spair.runtime import GateError
from tests.calibration.conftest import make_picture


@pytest.fixture
def trial(network, tiles, options, tmp_path):
    with open_trial(network, tiles, options, Journal(tmp_path / "numbers.json")) as opened:
        yield opened


@pytest.fixture
def converted_parts(monkeypatch):
    """List the parts of each conversion."""
    parts, convert = [], trial_module.convert

    def watch(model, plan, part, **more):
        parts.append(part)
        return convert(model, plan, part, **more)

    monkeypatch.setattr(trial_module, "convert", watch)
    return parts


def lower(network, part: str, scale: float = 0.05) -> PrecisionPlan:
    """Plan one layer of a part in INT8 with coarse steps."""
    layer = next(layer for layer in network.layers if layer.part == part)
    return PrecisionPlan({layer.name: "int8"}, "fp32", {use.key: scale for use in layer.uses})


def test_a_plan_of_fp32_loses_nothing(trial):
    assert trial.loss(PrecisionPlan({}, "fp32")) == 0.0


def test_results_of_net_l_are_taken_again_only_by_plans_that_leave_it_alone(trial, network, converted_parts):
    plan = lower(network, "net_r")
    reused = trial._measure(plan)
    assert converted_parts == ["net_r"]
    trial._recalled = {}
    assert trial._measure(plan) == reused > 0.0
    assert converted_parts[1:] == ["net_l", "net_r"]


def test_a_plan_that_changes_net_l_runs_it(trial, network, converted_parts):
    assert trial.loss(lower(network, "net_l")) > 0.0
    assert converted_parts == ["net_l", "net_r"]


def test_a_plan_is_measured_once_in_whatever_form_it_is_written(trial, network, converted_parts):
    plan = lower(network, "net_r")
    others = {layer.name: "fp32" for layer in network.layers if layer.name not in plan.layers}
    loss = trial.loss(plan)
    written_out = dataclasses.replace(plan, layers={**others, **plan.layers})
    assert trial.loss(written_out) == loss and trial.journal.recalled == 1
    assert converted_parts == ["net_r"]
    full = {"net_r": frozenset({next(iter(network.models["net_r"].graph.node)).output[0]})}
    for other in (dataclasses.replace(plan, quantize="weights"), dataclasses.replace(plan, full=full)):
        trial.loss(other)
    assert trial.journal.recalled == 1


def test_a_value_that_is_not_finite_loses_all(trial, network, monkeypatch):
    def fail(pixels):
        raise GateError("a half overflowed")

    monkeypatch.setattr(network, "restorer", lambda graphs: fail)
    assert trial.loss(lower(network, "net_r")) == CAP


def test_with_a_clean_tile_the_loss_is_taken_of_its_own_error(network, tiles, options, tmp_path):
    """Compute the distance from the loss at an assumed error, and from it the loss at the real one."""
    plan, target = lower(network, "net_r"), make_picture(0)
    assumed = 10.0 ** (-options.assumed_psnr / 10)
    losses = []
    for name, tile in (("assumed", tiles[1]), ("real", dataclasses.replace(tiles[1], target=target))):
        with open_trial(network, [tile], options, Journal(tmp_path / name)) as opened:
            losses.append(opened.loss(plan))
            error = mean_square(opened._outputs[0], target)
    distance = assumed * (10 ** (losses[0] / 10) - 1)
    assert error > 4 * assumed
    assert losses[1] == pytest.approx(estimate_loss(distance, error), rel=1e-6)
    assert 0 < losses[1] < losses[0]

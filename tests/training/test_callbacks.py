"""What is saved: the averaged weights of the last step, and facts about the training that hold on any machine."""

import json

import pytest
import torch

from spair.network import load_checkpoint
from spair.training.callbacks import Clock
from spair.training.run import train
from spair.training.state import STATE


@pytest.fixture
def run(configure, folder):
    """Train into `folder / "runs"`; returns the report, the model's weights and what the file says of its training."""

    def execute(*changes, **values):
        report = train(configure(*changes, **values), folder / "runs", progress=False)
        checkpoint = load_checkpoint(folder / "runs" / "test" / "test.safetensors")
        return report, checkpoint.model.state_dict(), json.loads(checkpoint.training)

    return execute


def read(folder) -> dict:
    return torch.load(folder / "runs" / "test" / STATE, weights_only=True)


def same(weights: dict, state: dict) -> bool:
    return all(torch.equal(value, state[f"model.{name}"]) for name, value in weights.items())


@pytest.mark.parametrize("validate_every", [1, 2, 4])
def test_the_averaged_weights_of_the_last_step_are_saved(run, folder, validate_every):
    report, weights, training = run(validate_every=validate_every)  # three epochs
    state = read(folder)
    assert same(weights, state["state_dict"])
    assert not same(weights, state["current_model_state"])
    assert report["steps"] == training["step"] == 5
    assert report["scores"] == training["scores"]
    assert f"psnr_y/{folder.name}" in training["scores"]


def test_scores_are_of_the_weights_that_are_saved(run, folder, configure):
    from spair.training.corpus import load_corpus
    from spair.training.metrics import luma, psnr

    _, _, training = run(("batch = 1", "batch = 1\nlearning_rate = 0.02"))
    model = load_checkpoint(folder / "runs" / "test" / "test.safetensors").model
    (pair,) = load_corpus(configure().data, 16).held_out
    with torch.inference_mode():
        restored = model(torch.from_numpy(pair.degraded.copy()).permute(2, 0, 1)[None] / 255.0).image[0]
    output = restored.mul(255).round().div(255).permute(1, 2, 0).numpy()
    score = psnr(luma(output), luma(pair.clean.astype("float32") / 255))
    assert training["scores"][f"psnr_y/{folder.name}"] == pytest.approx(score, abs=1e-3)


@pytest.mark.parametrize(
    "changes",
    [
        [('pairs = [{ input = "rainy", target = "clean" }]', ""), ('held_out = ["0"]', "")],
        [('held_out = ["0"]', "held_out = []")],
    ],
    ids=["photos only", "none held out"],
)
def test_without_anything_to_validate_on_the_weights_are_saved_all_the_same(run, folder, changes):
    report, weights, training = run(*changes, validate_every=2)
    assert same(weights, read(folder)["state_dict"])
    assert set(report["scores"]) == {"image_loss", "mask_loss"}
    assert training["step"] == 5


def test_the_facts_hold_on_any_machine(run, folder):
    _, _, training = run(('["photos"]', f'["{folder}/photos"]'), ("batch = 1", "batch = 3"))
    assert (training["step"], training["samples"]) == (5, 15)
    assert training["config"]["data"]["pairs"] == [{"input": "rainy", "target": "clean"}]
    (hparams,) = (folder / "runs").rglob("hparams.yaml")
    for text in (json.dumps(training), hparams.read_text(), json.dumps(read(folder)["hyper_parameters"])):
        assert str(folder.parent) not in text
        assert '"/' not in text and " /" not in text


def test_hours_accumulate_over_resumes(run, folder, monkeypatch):
    now = iter(range(0, 10**9, 360))  # each look at the clock is a tenth of an hour later
    monkeypatch.setattr("spair.training.callbacks.monotonic", lambda: float(next(now)))
    _, _, first = run(steps=2)
    before = read(folder)["callbacks"]["Clock"]["hours"]
    assert before >= first["hours"] >= 0.1
    _, _, second = run(steps=4)
    assert second["hours"] == pytest.approx(before + 0.1)


def test_a_clock_that_never_ran_says_nothing():
    assert Clock().hours == 0.0

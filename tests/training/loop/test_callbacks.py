"""Laws of the callbacks.

Saved are averaged weights with facts that hold on any machine; logged are hours, numbers and pictures.
"""

import csv
import json

import numpy as np
import pytest
import torch

from spair.network import load_checkpoint
from spair.runtime import read_image
from spair.training.data.corpus import MaskedPhoto, PicturePair, differs, load_corpus
from spair.training.evaluation.metrics import luma, psnr
from spair.training.loop.callbacks import Clock, Durations, Pace, draw
from spair.training.loop.module import RestorationModule
from spair.training.loop.state import STATE
from spair.training.run import train


@pytest.fixture
def run(configure, folder):
    """Train into `folder / "runs"`; returns the report, the model's weights and what the file says of its training."""

    def execute(*changes, **values):
        report = train(configure(*changes, **values), folder / "runs", progress=False)
        checkpoint = load_checkpoint(folder / "runs" / "test" / "test.safetensors")
        return report, checkpoint.model.state_dict(), json.loads(checkpoint.training)

    return execute


def read(out) -> dict:
    return torch.load(out / "test" / STATE, weights_only=True)


def same(weights: dict, state: dict) -> bool:
    return all(torch.equal(value, state[f"model.{name}"]) for name, value in weights.items())


def test_the_averaged_weights_of_the_last_step_are_saved(whole):
    checkpoint = load_checkpoint(whole.out / "test" / "test.safetensors")
    weights, training = checkpoint.model.state_dict(), json.loads(checkpoint.training)
    state = read(whole.out)
    assert checkpoint.task == "rain"
    assert same(weights, state["state_dict"])
    assert not same(weights, state["current_model_state"])
    assert (training["stage"], training["step"], training["samples"]) == (2, 9, 9)
    assert training["config"] == whole.config.model_dump(mode="json")
    assert training["scores"] == whole.report["scores"]


@pytest.mark.parametrize("validate_every", [2, 3])
def test_the_last_step_is_validated_whatever_the_number_of_epochs(run, folder, configure, validate_every):
    """Scores are those of the weights that are saved."""
    fast = ("warm_up = 1", "warm_up = 1\nlearning_rate = 0.02")  # the average lags behind
    _, weights, training = run(fast, validate_every=validate_every, stages=[("both", 3)])  # two epochs
    assert training["step"] == 3
    assert same(weights, read(folder / "runs")["state_dict"])
    model = load_checkpoint(folder / "runs" / "test" / "test.safetensors").model
    (pair,) = load_corpus(configure().data, 16).held_out
    with torch.inference_mode():
        restored = model(torch.from_numpy(pair.degraded.copy()).permute(2, 0, 1)[None] / 255.0).image[0]
    output = restored.mul(255).round().div(255).permute(1, 2, 0).numpy()
    score = psnr(luma(output), luma(pair.clean.astype("float32") / 255))
    assert training["scores"][f"psnr_y/{folder.name}"] == pytest.approx(score, abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "simulate"),
    [
        ([('pairs = [{ input = "rainy", target = "clean" }]', ""), ('held_out = ["0"]', "")], 1.0),
        ([('held_out = ["0"]', "held_out = []")], 0.2),
    ],
    ids=["photos only", "none held out"],
)
def test_without_anything_to_validate_on_the_weights_are_saved_all_the_same(run, folder, changes, simulate):
    values = {"simulate": simulate, "transplant": 0.0, "validate_every": 2}
    report, weights, training = run(*changes, **values, stages=[("both", 3)])
    assert same(weights, read(folder / "runs")["state_dict"])
    assert set(report["scores"]) == {"image_loss", "mask_loss"}
    assert training["step"] == 3
    assert not (folder / "runs" / "test" / "pictures").exists()


def test_the_facts_hold_on_any_machine(run, folder):
    changes = (('["photos"]', f'["{folder}/photos"]'), ("batch = 1", "batch = 3"))
    _, _, training = run(*changes, stages=[("net_l", 2)])
    assert (training["step"], training["samples"]) == (2, 6)
    assert training["config"]["data"]["pairs"] == [{"input": "rainy", "target": "clean", "mask": None}]
    (hparams,) = (folder / "runs").rglob("hparams.yaml")
    saved = read(folder / "runs")["hyper_parameters"]
    for text in (json.dumps(training), hparams.read_text(), json.dumps(saved)):
        assert "pictures/photos" in text
        assert str(folder.parent) not in text
        assert '"/' not in text and " /" not in text


def test_hours_add_up_over_stages_and_resumptions(configure, folder, monkeypatch):
    """Every step takes a tenth of an hour; those of an epoch that was cut off do not count."""
    now, stop = [1000.0], [True]
    step = RestorationModule.training_step

    def slow(self, batch, index):
        if stop[0] and (self.hparams["stage"], self.global_step) == (1, 3):
            raise KeyboardInterrupt
        now[0] += 360.0
        return step(self, batch, index)

    monkeypatch.setattr("spair.training.loop.callbacks.monotonic", lambda: now[0])
    monkeypatch.setattr(RestorationModule, "training_step", slow)
    config = configure(stages=[("net_l", 2), ("net_r", 4)])
    with pytest.raises(KeyboardInterrupt):
        train(config, folder / "runs", progress=False)
    assert read(folder / "runs")["callbacks"]["Clock"]["hours"] == pytest.approx(0.4)
    stop[0] = False
    now[0] += 10_000.0  # between the two nobody trains
    report = train(config, folder / "runs", progress=False)
    training = json.loads(load_checkpoint(folder / "runs" / "test" / "test.safetensors").training)
    assert training["hours"] == pytest.approx(0.6)
    assert report["steps_per_second"] == pytest.approx(1 / 360)


def test_a_clock_that_never_ran_says_what_was_before():
    assert Clock().hours == 0.0
    assert Clock(2.5).hours == 2.5


def test_the_pace_counts_steps_and_the_time_that_they_waited(monkeypatch, whole):
    now = [0.0]
    monkeypatch.setattr("spair.training.loop.callbacks.monotonic", lambda: now[0])
    profiler = Durations()
    pace = Pace(profiler)
    assert (pace.steps_per_second, pace.data_share) == (0.0, 0.0)

    class Trainer:
        global_step = 0

    for _ in range(2):
        pace.on_train_epoch_start(Trainer(), None)
        for _ in range(3):
            now[0] += 0.5
            pace.on_train_batch_end(Trainer(), None)
        now[0] += 100.0  # validation
    profiler.recorded_durations["[_TrainingEpochLoop].train_dataloader_next"] = [0.25, 0.5]
    assert pace.steps_per_second == pytest.approx(2.0)
    assert pace.data_share == pytest.approx(0.25)
    assert 0.0 < whole.report["data_share"] < 1.0  # the trainer records under that name


def strip(picture, mask: np.ndarray) -> list[np.ndarray]:
    """Panels of the strip of a picture that is restored to half of its brightness."""
    image = torch.from_numpy(picture.degraded / 255.0 / 2).permute(2, 0, 1)[None].float()
    drawn = draw(picture, image, torch.from_numpy(mask)[None, None].float(), 8)
    assert drawn.dtype == np.uint8
    assert drawn.shape[1] % mask.shape[1] == 0
    return np.split(drawn, drawn.shape[1] // mask.shape[1], axis=1)


def white(mask: np.ndarray) -> np.ndarray:
    return np.repeat(mask[..., None], 3, axis=2) * np.uint8(255)


def test_a_strip_shows_the_pictures_and_both_masks():
    random = np.random.default_rng(0)
    clean = random.integers(0, 200, (7, 5, 3), np.uint8)
    degraded = clean + (random.random((7, 5, 1)) < 0.4) * np.uint8(50)
    given, found = random.random((7, 5)) < 0.3, random.random((7, 5)) < 0.5
    differing = differs(degraded, clean, 8)
    assert differing.any() and (differing != given).any()
    for mask, truth in ((None, differing), (given, given)):
        panels = strip(PicturePair("a/1", degraded, clean, mask), found)
        half = np.rint(degraded.astype(np.float32) / 255 / 2 * 255).astype(np.uint8)
        for panel, expected in zip(panels, (degraded, half, clean, white(found), white(truth)), strict=True):
            assert np.abs(panel.astype(int) - expected).max() <= (expected is half)  # halves round either way
    panels = strip(MaskedPhoto("b/1", degraded, given), found)
    for panel, expected in zip(panels[:1] + panels[2:], (degraded, white(found), white(given)), strict=True):
        np.testing.assert_array_equal(panel, expected)


def tags(path) -> dict[str, list[int]]:
    """The steps of each tag of a TensorBoard file: records of a length, 4 bytes, an event and 4 bytes."""
    from tensorboardX.proto import event_pb2

    content, found = path.read_bytes(), {}
    while content:
        size = int.from_bytes(content[:8], "little")
        event = event_pb2.Event.FromString(content[12 : 12 + size])
        for value in event.summary.value:
            found.setdefault(value.tag, []).append(event.step)
        content = content[16 + size :]
    return found


def test_numbers_and_pictures_are_logged_per_stage(configure, folder, masked):
    config = configure(
        masked,
        ('held_out = ["0"]', 'held_out = ["0", "a", "b"]'),
        ("[log]", '[log]\nto = ["csv", "tensorboard"]\npictures = 2'),
        stages=[("net_l", 2), ("net_r", 2)],
    )
    report = train(config, folder / "runs", progress=False)
    out = folder / "runs" / "test"
    strips = {path.name: read_image(path).pixels.shape for path in (out / "pictures").iterdir()}
    assert strips == {
        f"0000002-{folder.name}-0.png": (24, 5 * 33, 3),
        "0000002-wet-b.png": (18, 4 * 21, 3),  # every other of three, and nobody knows its clean picture
        f"0000004-{folder.name}-0.png": (24, 5 * 33, 3),  # photographs without one tell nothing of Net_R
    }
    assert not any("/wet" in name for name in report["scores"])
    for stage, losses, pictures in (
        ("0-net_l", {"mask_loss"}, {f"{folder.name}/0", "wet/b"}),
        ("1-net_r", {"image_loss"}, {f"{folder.name}/0"}),
    ):
        with (out / "log" / stage / "version_0" / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert {name for name in rows[0] if name.endswith("_loss")} == losses
        assert sum(bool(row[next(iter(losses))]) for row in rows) == 2  # every step
        assert f"psnr_y/{folder.name}" in rows[0]
        (events,) = (out / "tensorboard" / stage).rglob("events*")
        found = tags(events)
        assert losses | pictures | {f"psnr_y/{folder.name}"} <= set(found)
        assert {name for name in found if name in (f"{folder.name}/0", "wet/a", "wet/b")} == pictures

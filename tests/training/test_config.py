"""Entries of configurations: their bounds, and refusals in one sentence."""

import numpy as np
import pytest

from spair.training.config import TrainingConfig
from spair.training.simulators import SIMULATORS


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps = 5", "steps = 0", r"run.toml: stages.0.steps: Input should be greater than 0, got 0; correct it"),
        (
            "batch = 1",
            "batches = 1",
            r"run.toml: stages.0.batches: unknown entry; did you mean batch\? \(known: train, steps, .*\); correct",
        ),
        ("patch = 16", "patch = 20", "stages.0.patch: .* multiple of 8, got 20"),
        ("patch = 16", "patch = 8", "stages.0.patch: .* greater than or equal to 16, got 8"),
        ('train = "both"', 'train = "net_x"', "stages.0.train: Input should be 'net_l', 'net_r' or 'both'"),
        ("warm_up = 1", "warm_up = 1\nlearning_rate = 0.0", "stages.0.learning_rate: .* greater than 0"),
        ("epoch = 2", "pause = 2", "schedule.pause: unknown entry; expected clip, ema, epoch, validate_every; correct"),
        (
            "[data]",
            "colour = 1\n[data]",
            "run.toml: colour: unknown entry; expected name, task, preset, seed, start, data",
        ),
        ("epoch = 2", "epoch = 2\nema = 1.0", "schedule.ema: .* less than 1"),
        ("epoch = 2", "epoch = 0", "schedule.epoch: .* greater than 0"),
        ("[schedule]", '[loss]\nimage = "huber"\n[schedule]', "loss.image: Input should be 'charbonnier', 'l1' or"),
        ("[schedule]", "[loss]\nequalize = 1.5\n[schedule]", "loss.equalize: .* less than or equal to 1"),
        ("[schedule]", "[loss]\nssim_weight = -1\n[schedule]", "loss.ssim_weight: .* greater than or equal to 0"),
        ('"32-true"', '"fp8"', "hardware.precision: Input should be 'auto'"),
        ("[log]", '[log]\nto = ["wandb"]', "log.to.0: Input should be 'csv' or 'tensorboard', got 'wandb'"),
        ('task = "rain"', 'task = "snow"', "task: Input should be 'rain'"),
        (
            'task = "rain"',
            'task = "blur"',
            r"run.toml: data.transplant = 0.5 .* the task is blur; use",
        ),
        (
            "simulate = 0.2",
            'simulate = 0.2\nrain = "hail"',
            "data.rain: Input should be 'light', 'heavy' or 'fine', got",
        ),
        ('preset = "tiny"', 'preset = "huge"', "preset: Input should be 'tiny', 'base' or 'large'"),
        ('preset = "tiny"', 'preset = "huge"\nseed = -1', r"got 'huge' \(and 1 more\); correct it"),
        ('name = "test"', 'name = "a/b"', "name: String should match pattern"),
        ('name = "test"', 'name = ".."', "name: String should match pattern"),
        ('name = "test"', "", "run.toml: name: this entry is missing; correct it"),
        ("[data]", "[data", "is not valid TOML: .* correct that line"),
        (', target = "clean"', "", "data.pairs.0.target: this entry is missing"),
        ('["photos"]', '"photos"', "data.photos: expected a list, got 'photos'; correct it"),
        (
            '[{ input = "rainy", target = "clean" }]',
            '["rainy"]',
            r"data.pairs.0: expected a table with input, target, mask, got 'rainy'; correct it",
        ),
        (
            "[[stages]]",
            "[stages]",
            r"stages: expected a list, got one table: in TOML a list of tables has its .*\[\[ \]\]",
        ),
        (
            "transplant = 0.5",
            "transplant = 0.9",
            r"data: transplant = 0.9, simulate = 0.2, .* must be at most 1; correct",
        ),
        ("simulate = 0.2", "simulate = 1.2", "data.simulate: .* less than or equal to 1"),
        ("simulate = 0.2", "from_masked = 0.2", "data: from_masked needs photographs with masks: add data.masked"),
        (
            "warm_up = 1",
            "warm_up = 1\nthresholds = [0.5, 0.1]",
            r"stages.0: thresholds = \[0.5, 0.1\] begins with its larg",
        ),
        ("warm_up = 1", "warm_up = 1\nthresholds = [0.0, 0.5]", "stages.0.thresholds.0: .* greater than 0"),
        ("[schedule]", "[loss]\nmask_ramp = 0\n[schedule]", "loss.mask_ramp: .* greater than 0"),
        ("simulate = 0.2", "mask_threshold = 255", "data.mask_threshold: .* less than or equal to 254"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(configure, refuse, old, new, message):
    refuse(message, configure, (old, new))


def test_a_kind_of_rain_is_drawn_alone(configure, refuse):
    light = ("transplant =", 'rain = "light"\ntransplant =')
    random = np.random.default_rng(0)
    clean = np.full((64, 64, 3), 0.3, np.float32)
    shares = [configure(light).find_simulator().simulate(clean, random).mask.mean() for _ in range(30)]
    heavy = ("transplant =", 'rain = "heavy"\ntransplant =')
    others = [configure(heavy).find_simulator().simulate(clean, random).mask.mean() for _ in range(30)]
    assert np.mean(shares) < 0.5 < np.mean(others)
    assert configure().find_simulator() is SIMULATORS["rain"]
    call = lambda: configure(light, ('task = "rain"', 'task = "blur"'), transplant=0.0)  # noqa: E731
    refuse('data.rain = "light" chooses a simulated rain, but the task is blur; remove it', call)


def test_masked_photographs_alone_train_only_the_localization(configure, masked, refuse):
    changes = (masked[0], f"{masked[1]}\nfrom_masked = 1.0")
    shares = {"transplant": 0.0, "simulate": 0.0}
    assert configure(changes, stages=[("net_l", 2)], **shares).data.from_masked == 1.0
    refuse("run.toml: data.from_masked = 1 leaves Net_R nothing", lambda: configure(changes, **shares))


def test_stages_are_needed_and_counted(configure, refuse):
    none = ("[data]", "stages = []\n[data]")
    refuse("stages: Tuple should have at least 1 item", lambda: configure(none, stages=[]))
    refuse("stages: this entry is missing", lambda: configure(stages=[]))
    config = configure(("batch = 1", "batch = 3"), stages=[("net_l", 2), ("net_r", 4), ("both", 7)])
    assert [stage.train for stage in config.stages] == ["net_l", "net_r", "both"]
    assert [config.steps_before(stage) for stage in range(4)] == [0, 2, 6, 13]
    assert [config.samples_before(stage) for stage in range(4)] == [0, 6, 18, 39]


def test_what_is_saved_loads_again(configure):
    saved = configure(stages=[("net_l", 2), ("both", 3)]).model_dump(mode="json")
    assert TrainingConfig.model_validate(saved).model_dump(mode="json") == saved

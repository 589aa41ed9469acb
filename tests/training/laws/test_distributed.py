"""Several processes train what one trains."""

import json
import os
import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest
import torch

from spair.network import load_checkpoint
from spair.training.loop.module import RestorationModule
from spair.training.run import train

STAGES = [("net_l", 2), ("net_r", 2), ("both", 2)]
CHANGES = (
    ("batch = 1", "batch = 4"),
    ("epoch = 2", "epoch = 2\nema = 0.0"),  # no average: the weights themselves
    ("warm_up = 1", "warm_up = 1\nthresholds = [0.2, 0.8]"),
)


def flat(state: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in state.values()])


def weights(out: Path) -> torch.Tensor:
    return flat(load_checkpoint(out / "test" / "test.safetensors").model.state_dict())


def spair(*arguments: object) -> subprocess.CompletedProcess:
    command = [Path(sys.executable).with_name("spair"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


@pytest.mark.whole
def test_two_processes_end_with_the_weights_of_one(configure, folder):
    config = configure(*CHANGES, stages=STAGES)
    options = ("--accelerator", "cpu", "--devices", 2, "--threads", 1, "--json")
    done = spair("train", folder / "run.toml", "--out", folder / "two", *options)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()  # one process reports
    report = json.loads(line)
    assert set(report) == {"checkpoint", "steps", "scores", "steps_per_second", "data_share", "held_out"}
    assert (report["checkpoint"], report["steps"]) == (str(folder / "two" / "test" / "test.safetensors"), 6)

    alone = train(config, folder / "one", progress=False)
    L.seed_everything(config.seed, verbose=False)
    start = flat(RestorationModule(config, 0).model.state_dict())
    one, two = weights(folder / "one"), weights(folder / "two")
    # Both take the mean over four samples, but round it in another order: gradients agree to about 1e-6, and so do
    # AdamW's steps, which have the gradient's size in both numerator and denominator. That holds but for gradients
    # that cancel to below their own rounding: of these, say one in a million, a step may turn round.
    assert (two - one).norm() < 1e-3 * (one - start).norm()
    for name in ("image_loss", "mask_loss"):  # rounded to four digits
        assert abs(report["scores"][name] - alone["scores"][name]) < 2e-4

    half = configure(("batch = 1", "batch = 2"), CHANGES[1], stages=STAGES)
    train(half, folder / "half", progress=False)  # as if a process had only its own samples
    assert (weights(folder / "half") - one).norm() > 0.1 * (one - start).norm()

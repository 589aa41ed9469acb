"""Runs: an interrupted one ends as the same run, a finished one is only reported, a longer one goes on."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from spair.network import load_checkpoint
from spair.training.module import RestorationModule
from spair.training.run import STATE, train
from spair.training.state import read_state

KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from spair.training.config import load_config
from spair.training.module import RestorationModule
from spair.training.run import train

step = RestorationModule.training_step

def killed(self, batch, index):
    if self.global_step == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, index)

RestorationModule.training_step = killed
train(load_config(Path(sys.argv[1])), Path(sys.argv[2]), progress=False, threads=1)
"""


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder / "test" / "test.safetensors").model.state_dict()


def assert_same(one: Path, other: Path) -> None:
    parts = weights(other)
    for name, value in weights(one).items():
        assert torch.equal(value, parts[name]), name


@pytest.fixture
def interrupt(monkeypatch):
    """Ctrl-C at a step; called without one, none any more."""
    step = RestorationModule.training_step

    def arrange(at: int = -1) -> None:
        def interrupted(self, batch, index):
            if self.global_step == at:
                raise KeyboardInterrupt
            return step(self, batch, index)

        monkeypatch.setattr(RestorationModule, "training_step", interrupted)

    return arrange


def test_a_run_that_was_interrupted_ends_with_the_same_weights(configure, folder, interrupt):
    config = configure()
    report = train(config, folder / "whole", progress=False)
    assert report["steps"] == 5
    assert set(report["scores"]) >= {"image_loss", "mask_loss", "psnr_y/" + folder.name}
    interrupt(at=3)  # in the middle of the second epoch
    with pytest.raises(KeyboardInterrupt):
        train(config, folder / "parts", progress=False)
    interrupt()
    state = read_state(folder / "parts" / "test" / STATE)
    assert (state.steps, state.epochs) == (2, 1)
    assert train(config, folder / "parts", progress=False) == report | {
        "checkpoint": str(folder / "parts" / "test" / "test.safetensors")
    }
    assert_same(folder / "whole", folder / "parts")


def test_a_run_that_was_killed_ends_with_the_same_weights(configure, folder):
    config = configure()
    train(config, folder / "whole", progress=False)
    command = [sys.executable, "-W", "ignore", "-c", KILLED, folder / "run.toml", folder / "parts"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert read_state(folder / "parts" / "test" / STATE).steps == 2
    train(config, folder / "parts", progress=False)
    assert_same(folder / "whole", folder / "parts")


def test_ctrl_c_stays_ctrl_c(configure, folder, interrupt):
    handler = signal.getsignal(signal.SIGINT)
    interrupt(at=1)
    with pytest.raises(KeyboardInterrupt):
        train(configure(), folder / "runs", progress=False)
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_exit_of_ones_own_stays_one(configure, folder, monkeypatch):
    def leave(self, batch, index):
        sys.exit(7)

    monkeypatch.setattr(RestorationModule, "training_step", leave)
    with pytest.raises(SystemExit) as caught:
        train(configure(), folder / "runs", progress=False)
    assert caught.value.code == 7


def test_a_finished_run_is_reported_again_without_its_data(configure, folder):
    report = train(configure(), folder / "runs", progress=False)
    before = weights(folder / "runs")
    (folder / "photos").rename(folder / "gone")
    assert train(configure(), folder / "runs", progress=False) == report
    assert report["scores"]
    (folder / "runs" / "test" / "test.safetensors").unlink()
    assert train(configure(), folder / "runs", progress=False) == report
    for name, value in weights(folder / "runs").items():
        assert torch.equal(value, before[name]), name


def test_a_run_goes_on_when_it_gets_more_steps(configure, folder, monkeypatch):
    train(configure(steps=3), folder / "runs", progress=False)
    seen = []
    step = RestorationModule.training_step

    def watched(self, batch, index):
        seen.append((self.global_step, batch[0].sum().item()))
        return step(self, batch, index)

    monkeypatch.setattr(RestorationModule, "training_step", watched)
    assert train(configure(steps=8), folder / "runs", progress=False)["steps"] == 8
    continued = seen.copy()
    seen.clear()
    train(configure(steps=8), folder / "other", progress=False)
    assert [number for number, _ in continued] == [3, 4, 5, 6, 7]
    assert continued == seen[3:]  # the same samples, though the epochs end elsewhere

"""Weights with which a run starts: of its preset, or grown to it."""

import dataclasses
import re
import shutil

import pytest
import torch

from spair.network import BASE, LARGE, SPAIR, TINY, CheckpointError, load_checkpoint, save_checkpoint
from spair.network.growth import grow
from spair.network.revival import find_silent
from spair.training.loop.module import RestorationModule
from spair.training.run import Devices, train
from spair.training.start import load_start

STARTING = ('task = "rain"', 'task = "rain"\nstart = "older.safetensors"')
SMALL = dataclasses.replace(TINY, name="small", local_channels=(4, 6, 8), channels=(6, 8, 8), attention_channels=4)


@pytest.fixture
def start(folder):
    """`start(preset)`: `older.safetensors` with a network of that size."""

    def write(preset):
        torch.manual_seed(3)
        save_checkpoint(SPAIR(preset), folder / "older.safetensors", task="blur")
        return folder / "older.safetensors"

    return write


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_a_start_of_the_same_size_is_taken_as_it_is(configure, start, capsys):
    path = start(TINY)
    assert_equal(load_start(configure(STARTING), path), load_checkpoint(path).model.state_dict())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("preset", [SMALL, dataclasses.replace(TINY, name="tiny", pairs=(2, 1, 2))])
def test_a_smaller_start_is_grown_and_the_log_says_so(configure, start, capsys, preset):
    path = start(preset)
    weights = load_start(configure(STARTING), path)
    assert_equal(weights, grow(load_checkpoint(path).model, TINY, seed=0).state_dict())
    assert capsys.readouterr().err == f"start is preset {preset.name}; grown to tiny\n"
    load_start(configure(STARTING), path, progress=False)
    assert capsys.readouterr().err == ""


def test_the_seed_of_the_run_draws_the_new_filters(configure, start):
    path = start(SMALL)
    one, other = (load_start(configure(STARTING, ("[data]", f"seed = {seed}\n[data]")), path) for seed in (0, 1))
    name = "net_l.stem.weight"
    assert torch.equal(one[name][:4], other[name][:4])
    assert not torch.equal(one[name][4:], other[name][4:])


def test_a_run_begins_with_the_grown_network_and_resumes_without_the_start(configure, folder, start, monkeypatch):
    step, seen, path = RestorationModule.training_step, [], start(TINY)

    def watched(self, batch, index):
        if not seen:
            seen.append({name: value.clone() for name, value in self.model.state_dict().items()})
        return step(self, batch, index)

    monkeypatch.setattr(RestorationModule, "training_step", watched)
    changes = (STARTING, ('preset = "tiny"', 'preset = "base"'))
    train(configure(*changes, stages=[("both", 2)]), folder / "runs", progress=False)
    assert_equal(seen[0], grow(load_checkpoint(path).model, BASE, seed=0).state_dict())
    shutil.copytree(folder / "runs", folder / "whole")
    path.unlink()
    report = train(configure(*changes, stages=[("both", 3)]), folder / "runs", progress=False)
    assert report["steps"] == 3
    grown = load_checkpoint(report["checkpoint"]).model
    assert grown.preset == BASE
    before = load_checkpoint(folder / "whole" / "test" / "test.safetensors").model.state_dict()
    assert not torch.equal(grown.net_r.out.weight, before["net_r.out.weight"])


@pytest.mark.parametrize(
    ("preset", "message"),
    [
        (
            BASE,
            r"older.safetensors of the preset 'base' cannot grow to 'tiny', which the run trains: it is larger in "
            r"local_channels \(\(40, 56, 80\) instead of at most \(24, 32, 48\)\), .*; set preset to 'base' or "
            "'large', or start from another checkpoint",
        ),
        (LARGE, "set preset to 'large', or start from"),
        (dataclasses.replace(LARGE, pairs=(9, 9, 9)), "; start from another checkpoint"),
        (dataclasses.replace(TINY, grid=8), r"of another grid \(8 instead of 16\); start from"),
    ],
)
def test_a_start_that_cannot_grow_is_refused_in_a_sentence(configure, start, preset, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        load_start(configure(STARTING), start(preset))
    assert "\n" not in str(caught.value)


def test_a_start_of_another_mask_threshold_wants_it_said(configure, start):
    path = start(dataclasses.replace(SMALL, mask_threshold=0.625))
    with pytest.raises(CheckpointError, match=r"marks pixels above 0.625, .* above 0.35; set mask_probability"):
        load_start(configure(STARTING), path)
    chosen = configure(("[data]", "mask_probability = 0.625\n[data]"), STARTING)
    assert load_start(chosen, path)["net_l.stem.weight"].shape[0] == TINY.local_channels[0]


def test_a_run_revives_what_never_fires_and_says_how_much(configure, folder, start, capsys):
    path = start(TINY)
    trained = load_checkpoint(path)
    with torch.no_grad():
        trained.model.net_l.head.bias += 1.0  # most pixels are marked
        trained.model.get_submodule("net_r.scm.0.pairs.0.first").bias[:5] = -1000.0
    save_checkpoint(trained.model, path, task="blur")
    config = configure(STARTING, ("[data]", "revive = true\n[data]"), stages=[("both", 1)])
    report = train(config, folder / "runs", devices=Devices(accelerator="cpu"))
    assert re.search(r"revived \d+ channels of start .*: .*\b5 of net_r.scm.0.pairs.0.first", capsys.readouterr().err)
    pictures = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    silent = find_silent(load_checkpoint(report["checkpoint"]).model.eval(), pictures)
    assert not silent["net_r.scm.0.pairs.0.first"].any()


def test_a_start_that_marks_nothing_has_nothing_to_revive(configure, folder, start):
    path = start(TINY)
    trained = load_checkpoint(path)
    with torch.no_grad():
        trained.model.net_l.head.bias -= 1000.0
    save_checkpoint(trained.model, path, task="blur")
    config = configure(STARTING, ("[data]", "revive = true\n[data]"), stages=[("both", 1)])
    with pytest.raises(CheckpointError, match="marks no pixel in the first 64 samples .*; set it to false"):
        train(config, folder / "runs", progress=False, devices=Devices(accelerator="cpu"))


def test_reviving_is_about_a_start(configure, refuse):
    refuse("revive = true is about the channels of start", lambda: configure(("[data]", "revive = true\n[data]")))

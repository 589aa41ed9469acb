"""Runs: an interrupted one ends as the same run, a finished one is only reported, a longer one goes on."""

import dataclasses
import functools
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest
import torch

from spair.network import BASE, SPAIR, TINY, CheckpointError, load_checkpoint, save_checkpoint
from spair.training import run
from spair.training.config_file import load_config
from spair.training.loop.module import RestorationModule
from spair.training.loop.state import read_run_state
from spair.training.run import STATE, Devices, _check_batches, train

STOPS = [(0, 2), (1, 0), (1, 2), (2, 1)]
"""(stage, step): in the first stage, between two, in a later one, and in an epoch of which nothing is saved."""
SAVED = [(0, 2), (0, 3), (1, 2), (1, 3)]
"""The same, up to which the run is saved then: epochs have two steps, and stages three."""

KILLED = """
import os, signal, sys
from pathlib import Path
from spair.training.config_file import load_config
from spair.training.loop.module import RestorationModule
from spair.training.run import Devices, train

step = RestorationModule.training_step

for stop in {stops}:
    def killed(self, batch, index):
        if (self.hparams["stage"], self.global_step) == stop:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, batch, index)

    child = os.fork()
    if child == 0:
        RestorationModule.training_step = killed
        train(load_config(Path(sys.argv[1])), Path(sys.argv[2]), progress=False, devices=Devices(threads=1))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
"""


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(out / "test" / "test.safetensors").model.state_dict()


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], prefix: str = "") -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        if name.startswith(prefix):
            assert torch.equal(value, other[name]), name


def without_pace(report: dict) -> dict:
    """What does not depend on the place and the speed."""
    return {name: report[name] for name in ("steps", "scores", "held_out", "rank")}


@pytest.fixture
def interrupt(monkeypatch):
    """Ctrl-C at a step of a stage; called without one, none any more."""
    step = RestorationModule.training_step

    def arrange(at: tuple[int, int] | None = None) -> None:
        def interrupted(self, batch, index):
            if (self.hparams["stage"], self.global_step) == at:
                raise KeyboardInterrupt
            return step(self, batch, index)

        monkeypatch.setattr(RestorationModule, "training_step", interrupted)

    return arrange


def test_the_report_of_a_run(whole, folder):
    keys = {"checkpoint", "steps", "scores", "held_out", "steps_per_second", "data_share", "rank"}
    assert set(whole.report) == keys
    assert whole.report["checkpoint"] == str(whole.out / "test" / "test.safetensors")
    assert (whole.report["steps"], whole.report["rank"]) == (9, 0)
    assert set(whole.report["scores"]) >= {"image_loss", "mask_loss", f"psnr_y/{folder.name}", f"iou/{folder.name}"}
    assert whole.report["steps_per_second"] > 0


def test_a_run_that_was_interrupted_in_any_stage_ends_with_the_same_weights(configure, folder, interrupt, whole):
    config = configure(stages=whole.stages)
    for stop, saved in zip(STOPS, SAVED, strict=True):
        interrupt(stop)
        with pytest.raises(KeyboardInterrupt):
            train(config, folder / "parts", progress=False)
        state = read_run_state(folder / "parts" / "test" / STATE)
        assert (state.stage, state.steps) == saved
    interrupt()
    assert without_pace(train(config, folder / "parts", progress=False)) == without_pace(whole.report)
    assert_same(weights(folder / "parts"), weights(whole.out))


def test_a_run_that_was_killed_in_any_stage_ends_with_the_same_weights(configure, folder, whole):
    config = configure(stages=whole.stages)
    command = [sys.executable, "-W", "ignore", "-c", KILLED.format(stops=STOPS), folder / "run.toml", folder / "parts"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    state = read_run_state(folder / "parts" / "test" / STATE)
    assert (state.stage, state.steps) == SAVED[-1]
    assert without_pace(train(config, folder / "parts", progress=False)) == without_pace(whole.report)
    assert_same(weights(folder / "parts"), weights(whole.out))


def test_a_run_in_mixed_precision_that_was_interrupted_ends_with_the_same_weights(configure, folder, interrupt):
    config = configure(('"32-true"', '"bf16-mixed"'), stages=[("net_l", 3), ("both", 5)])
    train(config, folder / "whole", progress=False)
    interrupt((1, 3))
    with pytest.raises(KeyboardInterrupt):
        train(config, folder / "parts", progress=False)
    interrupt()
    train(config, folder / "parts", progress=False)
    assert_same(weights(folder / "parts"), weights(folder / "whole"))


def test_a_run_of_one_stage_after_the_other_is_the_run_of_all(configure, folder, whole):
    """Stages may be appended; each starts from the averaged weights, and what it does not train stays as it is."""
    L.seed_everything(whole.config.seed, verbose=False)
    before = RestorationModule(whole.config, 0).model.state_dict()
    for count, (trained, _) in enumerate(whole.stages, start=1):
        train(configure(stages=whole.stages[:count]), folder / "parts", progress=False)
        content = torch.load(folder / "parts" / "test" / STATE, weights_only=True)
        current, average = (
            {name.removeprefix("model."): value for name, value in content[key].items() if name.startswith("model.")}
            for key in ("current_model_state", "state_dict")
        )
        for frozen in {"net_l": ["net_r"], "net_r": ["net_l"], "both": []}[trained]:
            assert_same(current, before, frozen)
            assert_same(average, before, frozen)
        for learning in {"net_l": ["net_l"], "net_r": ["net_r"], "both": ["net_l", "net_r"]}[trained]:
            assert any(not torch.equal(average[name], before[name]) for name in average if name.startswith(learning))
        before = average
    assert_same(weights(folder / "parts"), weights(whole.out))


def test_a_stage_starts_from_the_averaged_weights_of_the_one_before(configure, folder, monkeypatch):
    step = RestorationModule.training_step
    started = []

    def watched(self, batch, index):
        if (self.hparams["stage"], self.global_step) == (1, 0):
            started.append({name: value.clone() for name, value in self.model.state_dict().items()})
            started.append(weights(folder / "runs"))
        return step(self, batch, index)

    monkeypatch.setattr(RestorationModule, "training_step", watched)
    train(configure(stages=[("both", 2), ("net_l", 1)]), folder / "runs", progress=False)
    assert_same(*started)


def test_a_run_may_start_from_a_checkpoint_and_resumes_without_it(configure, folder, monkeypatch):
    torch.manual_seed(3)
    start = folder / "older.safetensors"
    save_checkpoint(SPAIR(TINY), start, task="blur")
    step = RestorationModule.training_step
    seen = []

    def watched(self, batch, index):
        if not seen:
            seen.append({name: value.clone() for name, value in self.model.state_dict().items()})
        return step(self, batch, index)

    monkeypatch.setattr(RestorationModule, "training_step", watched)
    changes = [('task = "rain"', 'task = "rain"\nstart = "older.safetensors"')]
    train(configure(*changes, stages=[("both", 2)]), folder / "runs", progress=False)
    assert_same(seen[0], load_checkpoint(start).model.state_dict())
    start.unlink()
    assert train(configure(*changes, stages=[("both", 4)]), folder / "runs", progress=False)["steps"] == 4


@pytest.mark.parametrize(
    ("preset", "message"),
    [
        (None, "older.safetensors.*(no file|does not exist)"),
        (BASE, "the preset 'base' cannot grow to 'tiny', which the run trains"),
    ],
)
def test_an_unusable_start_is_refused_before_training(configure, folder, preset, message):
    if preset is not None:
        save_checkpoint(SPAIR(preset), folder / "older.safetensors", task="rain")
    config = configure(('task = "rain"', 'task = "rain"\nstart = "older.safetensors"'))
    with pytest.raises(CheckpointError, match=message):
        train(config, folder / "runs", progress=False)
    assert not (folder / "runs" / "test" / STATE).exists()


def test_a_run_has_a_mask_probability_of_its_own_and_its_checkpoint_keeps_it(configure, folder):
    save_checkpoint(SPAIR(TINY), folder / "older.safetensors", task="rain")  # of another: only sizes have to agree
    config = configure(('task = "rain"', 'task = "rain"\nstart = "older.safetensors"\nmask_probability = 0.625'))
    for _ in range(2):
        path = Path(train(config, folder / "runs", progress=False)["checkpoint"])
        model = load_checkpoint(path).model
        assert model.preset == dataclasses.replace(TINY, mask_threshold=0.625)
        assert model.logit_threshold == pytest.approx(math.log(0.625 / 0.375))
        path.unlink()  # is written again from the state, which does not say it


def test_stray_masks_want_two_samples_on_each_device(configure, refuse):
    config = configure(("batch = 1", "batch = 2\nstray_masks = 0.5"))
    _check_batches(config, Devices("cpu", 1, 1))
    refuse(r"stages.0.stray_masks = 0.5 .* only one; raise batch", _check_batches, config, Devices("cpu", 2, 1))


def test_ctrl_c_stays_ctrl_c(configure, folder, interrupt):
    handler = signal.getsignal(signal.SIGINT)
    interrupt((0, 1))
    with pytest.raises(KeyboardInterrupt):
        train(configure(), folder / "runs", progress=False)
    assert signal.getsignal(signal.SIGINT) is handler
    assert read_run_state(folder / "runs" / "test" / STATE) is None


def test_an_exit_of_ones_own_stays_one(configure, folder, monkeypatch):
    def leave(self, batch, index):
        sys.exit(7)

    monkeypatch.setattr(RestorationModule, "training_step", leave)
    with pytest.raises(SystemExit) as caught:
        train(configure(), folder / "runs", progress=False)
    assert caught.value.code == 7


def test_a_finished_run_is_reported_again_without_its_data(configure, folder, whole):
    shutil.copytree(whole.out, folder / "runs")
    config = configure(stages=whole.stages)
    shutil.rmtree(folder / "photos")
    for _ in range(2):
        report = train(config, folder / "runs", progress=False)
        assert without_pace(report) == without_pace(whole.report)
        assert (report["steps_per_second"], report["data_share"]) == (None, None)
        assert_same(weights(folder / "runs"), weights(whole.out))
        Path(report["checkpoint"]).unlink()  # is written again
    assert {path.name for path in (folder / "runs" / "test").iterdir()} == {
        "held-out",
        "log",
        "pictures",
        "stages",
        "state",
    }


def test_the_last_stage_goes_on_when_it_gets_more_steps(configure, folder, monkeypatch):
    seen = []
    step = RestorationModule.training_step

    def watched(self, batch, index):
        seen.append((self.hparams["stage"], self.global_step, batch[0].sum().item()))
        return step(self, batch, index)

    monkeypatch.setattr(RestorationModule, "training_step", watched)
    train(configure(stages=[("net_l", 1), ("net_r", 3)]), folder / "runs", progress=False)
    seen.clear()
    longer = configure(stages=[("net_l", 1), ("net_r", 6)])
    assert train(longer, folder / "runs", progress=False)["steps"] == 7
    continued = seen.copy()
    seen.clear()
    train(longer, folder / "other", progress=False)
    assert [step[:2] for step in continued] == [(1, 3), (1, 4), (1, 5)]
    assert continued == seen[4:]  # the same samples, though the epochs end elsewhere


def test_the_number_of_workers_changes_nothing(configure, folder):
    for workers in (0, 2):
        config = configure(("workers = 0", f"workers = {workers}"), ("batch = 1", "batch = 2"), stages=[("both", 2)])
        train(config, folder / str(workers), progress=False)
    assert_same(weights(folder / "0"), weights(folder / "2"))


def test_threads_are_set_before_training(configure, folder, whole, monkeypatch):
    chosen = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    shutil.copytree(whole.out, folder / "runs")
    for devices in (None, Devices(threads=3)):
        train(configure(stages=whole.stages), folder / "runs", progress=False, devices=devices)
    assert chosen[-1:] == [3]
    assert chosen.count(3) == 1


def test_every_stages_batch_must_split_evenly_over_all_devices(configure, folder, refuse):
    config = configure(("batch = 1", "batch = 12"), stages=[("net_l", 1), ("net_r", 1)])
    for devices in (Devices(), Devices(count=4), Devices(count=3, nodes=2), Devices(nodes=12)):
        _check_batches(config, devices)
    message = r"stages.0.batch = 12 cannot be split evenly over 8 devices; make it a multiple"
    refuse(message, lambda: train(config, folder / "runs", devices=Devices("cpu", 4, 2)))
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(("accelerator", "count", "found"), [("gpu", 1, 0), ("gpu", 3, 2), ("auto", 2, 1)])
def test_more_gpus_than_there_are_are_refused_before_anything_is_read(
    configure, folder, refuse, monkeypatch, accelerator, count, found
):
    monkeypatch.setattr("lightning.pytorch.accelerators.CUDAAccelerator.auto_device_count", lambda: found)
    monkeypatch.setattr("lightning.pytorch.accelerators.MPSAccelerator.is_available", lambda: False)
    config = configure(("batch = 1", "batch = 6"))
    call = functools.partial(train, config, folder / "runs", progress=False, devices=Devices(accelerator, count))
    refuse(f"{count} GPUs were asked for, but PyTorch finds {found} on this machine", call)
    assert not (folder / "runs").exists()


def test_compiling_without_a_compiler_is_refused_before_anything_is_read(configure, folder, refuse, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(run, "_check_gpus", lambda devices: None)
    monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: None)
    config = configure(("[hardware]", "[hardware]\ncompile = true"))
    call = functools.partial(train, config, folder / "runs", progress=False)
    refuse("hardware.compile = true needs the package triton", call)
    assert not (folder / "runs").exists()


def test_runs_in_a_path_are_the_folder_that_is_trained_into(configure, folder, whole):
    shutil.copytree(whole.out, folder / "elsewhere")
    (folder / "elsewhere" / "test").rename(folder / "elsewhere" / "older")
    start = ('task = "rain"', 'task = "rain"\nstart = "${runs}/older/test.safetensors"')
    config = configure(start, stages=[("net_l", 1)])
    train(config, folder / "elsewhere", progress=False)
    assert_same(weights(folder / "elsewhere"), weights(whole.out), prefix="net_r")


def test_a_run_goes_on_where_its_data_lies_elsewhere(configure, folder, tmp_path, refuse):
    roots = ("[data]", '[data.roots]\nphotos = "photos"\n[data]')
    paths = ('photos = ["photos"]', 'photos = ["${photos}"]')
    train(configure(roots, paths, stages=[("net_l", 2)]), folder / "runs", progress=False)
    (folder / "photos").rename(tmp_path / "moved")
    configure((roots[0], roots[1].replace('"photos"', '"elsewhere"')), paths, stages=[("net_l", 4)])
    moved = load_config(folder / "run.toml", {"photos": tmp_path / "moved"})
    assert train(moved, folder / "runs", progress=False)["steps"] == 4
    train(moved, folder / "whole", progress=False)
    assert_same(weights(folder / "runs"), weights(folder / "whole"), prefix="net_r")

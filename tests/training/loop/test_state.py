"""Laws of the resumable state.

It is never half written, read without running code, and resumed only under its own configuration.
"""

import dataclasses
import pickle
import shutil

import pytest
import torch
from lightning.pytorch.plugins import TorchCheckpointIO

from spair.training.loop.state import STATE, AtomicCheckpointIO, State, check_unchanged, read_run_state
from spair.training.run import train

STAGES = [("net_l", 3), ("net_r", 4), ("both", 5)]


def saved_under(config, stage: int = 0) -> State:
    return State(stage=stage, steps=2, epochs=1, config=config.model_dump(mode="json"), callbacks={})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("warm_up = 1", "learning_rate = 0.01\nwarm_up = 1", "stages.0.learning_rate is 0.01, but .* with 0.001;"),
        ("batch = 1", "batch = 3", "stages.0.batch is 3, but .* with 1; set it back, or choose another name"),
        ('held_out = ["0"]', 'held_out = ["1"]', r"data.held_out is \['1'\], but .* with \['0'\]"),
        ('input = "rainy"', 'input = "wet"', "data.pairs.0.input is 'wet', but .* with 'rainy'"),
        ('photos = ["photos"]', "", r"data.photos is \[\], but .* with \['photos'\]"),
        ("epoch = 2", "epoch = 3", "schedule.epoch is 3, but .* with 2"),
        ("[log]", "[loss]\nequalize = 1.0\n[log]", "loss.equalize is 1.0, but .* with 0.0"),
        ('preset = "tiny"', 'preset = "tiny"\nseed = 4', "seed is 4, but .* with 0"),
    ],
)
def test_a_run_is_not_resumed_as_another_one(configure, folder, refuse, old, new, message):
    state = saved_under(configure())
    refuse(message, check_unchanged, configure((old, new)), state, folder)


def test_the_first_differing_key_is_named(configure, folder, refuse):
    state = saved_under(configure())
    changed = configure(('"tiny"', '"base"'), ("batch = 1", "batch = 2"), ("patch = 16", "patch = 24"))
    refuse("^[^:]*: preset is 'base'", check_unchanged, changed, state, folder)
    state.config["loss"]["old"] = 1
    refuse("loss.old is None, but .* with 1", check_unchanged, configure(), state, folder)


def test_options_that_did_not_exist_when_a_run_began_had_their_defaults(configure, folder, refuse):
    state = saved_under(configure())
    del state.config["stages"][0]["true_masks"]
    check_unchanged(configure(), state, folder)
    changed = configure(("warm_up = 1", "true_masks = 0.25\nwarm_up = 1"))
    refuse("stages.0.true_masks is 0.25, but .* with 0.5;", check_unchanged, changed, state, folder)


def test_how_a_run_is_computed_and_looked_at_may_change(configure, folder):
    state = saved_under(configure())
    for old, new in (
        ('workers = 0\nprecision = "32-true"', 'workers = 2\nprecision = "bf16-mixed"\nchannels_last = true'),
        ("[log]", '[log]\npictures = 0\nto = ["tensorboard"]'),
        ("validate_every = 1", "validate_every = 3"),
    ):
        check_unchanged(configure((old, new)), state, folder)


@pytest.mark.parametrize("stage", range(3))
def test_the_present_stage_may_get_other_steps_and_the_ones_before_none(configure, folder, refuse, stage):
    state = saved_under(configure(stages=STAGES), stage)
    for changed in range(3):
        stages = [(name, steps + 2 * (index == changed)) for index, (name, steps) in enumerate(STAGES)]
        config = configure(stages=stages)
        if changed < stage:
            message = f"stages.{changed}.steps is {stages[changed][1]}, but .* with {STAGES[changed][1]}"
            refuse(message, check_unchanged, config, state, folder)
        else:
            check_unchanged(config, state, folder)


@pytest.mark.parametrize("stage", range(3))
def test_stages_to_come_are_free_and_begun_ones_are_not(configure, folder, refuse, stage):
    state = saved_under(configure(stages=STAGES), stage)
    begun, other = STAGES[: stage + 1], ("net_l", 9)
    for stages in (begun, [*begun, other], [*STAGES, other], [*begun, other, other, other]):
        check_unchanged(configure(stages=stages), state, folder)
    replaced = [*STAGES[:stage], ("both" if stage < 2 else "net_l", 3), *STAGES[stage + 1 :]]
    refuse(f"stages.{stage}.train is", check_unchanged, configure(stages=replaced), state, folder)
    if stage:
        fewer = configure(stages=STAGES[:stage])
        refuse(
            rf"stages.{stage}.train is None, but .* with '{STAGES[stage][0]}'", check_unchanged, fewer, state, folder
        )


def test_a_run_of_another_configuration_is_refused_before_its_data_is_read(configure, folder, whole, refuse):
    shutil.copytree(whole.out, folder / "runs")
    changed = configure(("patch = 16", "patch = 24"), stages=whole.stages)
    shutil.rmtree(folder / "photos")
    refuse("stages.0.patch is 24", train, changed, folder / "runs")


def test_the_state_of_a_finished_run_says_where_it_ended(whole):
    state = read_run_state(whole.out / "test" / STATE)
    assert (state.stage, state.steps, state.epochs) == (2, 3, 2)
    assert state.config == whole.config.model_dump(mode="json")
    assert {"AveragedCheckpoint", "Clock"} <= set(state.callbacks)
    assert [path.name for path in (whole.out / "test" / STATE.parent).iterdir()] == [STATE.name]


def test_steps_that_were_trained_cannot_be_taken_back(configure, folder, refuse):
    state = dataclasses.replace(saved_under(configure()), steps=10**6)
    message = r"stages\.0\.steps is \d+, but .* 1000000 steps of that stage already"
    refuse(message, check_unchanged, configure(), state, folder)


class Command:
    """Pickles as a call."""

    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize("kind", ["empty", "text", "code", "foreign", "cut"])
def test_a_damaged_state_is_named_and_never_executed(tmp_path, refuse, capsys, kind):
    path = tmp_path / "last.ckpt"
    if kind in ("code", "foreign"):
        torch.save({"hyper_parameters": Command()} if kind == "code" else {"weights": torch.zeros(3)}, path)
    elif kind == "cut":
        torch.save({"weights": torch.zeros(999)}, path)
        path.write_bytes(path.read_bytes()[:2000])
    else:
        path.write_bytes(b"" if kind == "empty" else b"not a state")
    refuse(r"its state .*last\.ckpt is damaged \(.*remove that file", read_run_state, path)
    assert "executed" not in capsys.readouterr().out
    assert read_run_state(tmp_path / "none.ckpt") is None


def test_a_state_of_a_run_without_stages_is_refused(whole, tmp_path, refuse):
    content = torch.load(whole.out / "test" / STATE, weights_only=True)
    del content["hyper_parameters"]["stage"]
    torch.save(content, tmp_path / "last.ckpt")
    refuse("is damaged .*'stage'", read_run_state, tmp_path / "last.ckpt")


def test_resuming_does_not_execute_a_state(configure, folder, whole, monkeypatch):
    shutil.copytree(whole.out, folder / "runs")
    path = folder / "runs" / "test" / STATE
    state = read_run_state(path)
    torch.save({**torch.load(path, weights_only=True), "more": Command()}, path)
    monkeypatch.setattr("spair.training.run.read_run_state", lambda path: state)
    longer = [*whole.stages[:2], ("both", 9)]
    with pytest.raises(pickle.UnpicklingError, match="print"):
        train(configure(stages=longer), folder / "runs", progress=False)


def test_a_failure_while_saving_leaves_the_previous_state(tmp_path, monkeypatch, refuse):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)

    def fail(self, checkpoint, path, storage_options=None):
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(TorchCheckpointIO, "save_checkpoint", fail)
    refuse("no space left; give an existing folder", AtomicCheckpointIO().save_checkpoint, {"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]

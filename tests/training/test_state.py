"""The resumable state: never half written, read without running code, resumed under its own configuration only."""

import pickle

import pytest
import torch
from lightning.pytorch.plugins import TorchCheckpointIO

from spair.training.run import train
from spair.training.state import STATE, AtomicCheckpointIO, State, check_unchanged, read_state


def saved_under(config) -> State:
    return State(steps=2, epochs=1, config=config.model_dump(mode="json"), callbacks={})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "warm_up = 1",
            "learning_rate = 0.01\nwarm_up = 1",
            "schedule.learning_rate is 0.01, but .* with 0.001;",
        ),
        ("batch = 1", "batch = 3", "schedule.batch is 3, but .* with 1; set it back, or choose another name"),
        ('held_out = ["0"]', 'held_out = ["1"]', r"data.held_out is \['1'\], but .* with \['0'\]"),
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


def test_length_and_validations_may_change(configure, folder):
    check_unchanged(configure(steps=9, validate_every=3), saved_under(configure()), folder)


def test_a_run_of_another_configuration_is_refused_before_its_data_is_read(configure, folder, refuse):
    train(configure(steps=2), folder / "runs", progress=False)
    changed = configure(("patch = 16", "patch = 24"), ('["photos"]', '["photos"]'))
    refuse("schedule.patch is 24", train, changed, folder / "runs")


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
    refuse(r"its state .*last\.ckpt is damaged \(.*remove that file", read_state, path)
    assert "executed" not in capsys.readouterr().out
    assert read_state(tmp_path / "none.ckpt") is None


def test_resuming_does_not_execute_a_state(configure, folder, monkeypatch):
    train(configure(steps=2), folder / "runs", progress=False)
    path = folder / "runs" / "test" / STATE
    state = read_state(path)
    content = torch.load(path, weights_only=True)
    torch.save({**content, "more": Command()}, path)
    monkeypatch.setattr("spair.training.run.read_state", lambda path: state)
    with pytest.raises(pickle.UnpicklingError, match="print"):
        train(configure(steps=4), folder / "runs", progress=False)


def test_a_failure_while_saving_leaves_the_previous_state(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)

    def fail(self, checkpoint, path, storage_options=None):
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(TorchCheckpointIO, "save_checkpoint", fail)
    with pytest.raises(OSError, match="no space"):
        AtomicCheckpointIO().save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}

"""Choice of weights among the tensors of a file."""

from pathlib import Path

import pytest
import torch

from spair.network import CheckpointError
from spair.network.files.choosing import choose_weights

NAMES = ("first.weight", "first.bias", "norm.running_mean", "norm.num_batches_tracked")
FILE = Path("a.pth")


def state(value: float = 1.0, prefix: str = "", names=NAMES) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": torch.full((2,), value) for name in names}


@pytest.mark.parametrize(
    ("content", "prefix"),
    [
        ({"model_state_dict": state(), "epoch": 3, "loss": torch.tensor(0.5)}, "model_state_dict."),
        ({"net_g": state(), "net_d": state(2, names=("conv.weight",))}, "net_g."),
        (
            {"state_dict": state(prefix="generator."), "optimizer": {"state": {0: torch.ones(2)}}},
            "state_dict.generator.",
        ),
        ({"models": [state(prefix="module.")]}, "models.0.module."),
        ({"a": {"b": {"c": state(prefix="d.")}}}, "a.b.c.d."),
        ({"params": state(2), "params_ema": state()}, "params_ema."),
        ({"ema": {"online_model": state(2), "ema_model": state()}}, "ema.ema_model."),
        ({"student": state(2), "teacher": state()}, "teacher."),
        ({"schema": state(), "other": state(2)}, "schema."),
        (state(prefix="params_ema."), "params_ema."),
        ({**state(), "epoch": 3, "psnr": torch.tensor(1.0)}, ""),
        ({"state_dict": {**state(prefix="model."), "loss.weight": torch.zeros(2)}}, "state_dict.model."),
        ({"first": {"weight": torch.ones(2), "bias": torch.ones(2)}, "norm": {"running_mean": torch.ones(2)}}, ""),
        ({"net": state(), "larger": {**state(2), "more.weight": torch.zeros(2)}}, "net."),
    ],
    ids=lambda value: (value or "none") if isinstance(value, str) else "",
)
def test_weights_are_found_under_any_prefix(content, prefix):
    choice = choose_weights(content, NAMES, FILE)
    assert choice.prefix == prefix
    assert sorted(choice.tensors) == sorted(NAMES)
    assert all((choice.tensors[name] == 1).all() for name in NAMES[:3])


def test_a_key_chooses_the_dictionary_and_others_are_told():
    content = {"params": state(2), "params_ema": state(1)}
    assert choose_weights(content, NAMES, FILE).others == ("params.",)
    chosen = choose_weights(content, NAMES, FILE, key="params")
    assert chosen.prefix == "params."
    assert (chosen.tensors["first.bias"] == 2).all()
    inner = choose_weights({"state_dict": {**state(1, "a."), **state(2, "b.")}}, NAMES, FILE, key="b")
    assert inner.prefix == "state_dict.b."
    with pytest.raises(
        CheckpointError, match=r"a.pth holds no weights under 'net', it has params \(4\), params_ema \(4\)"
    ):
        choose_weights(content, NAMES, FILE, key="net")


def test_what_is_left_out_is_told():
    content = {
        "state_dict": {**state(prefix="model."), "loss.a.b": torch.zeros(2)},
        "discriminator": {"a": torch.zeros(2)},
    }
    assert choose_weights(content, NAMES, FILE).ignored == ("state_dict.loss", "discriminator")


def test_surplus_weights_are_kept_for_the_strict_comparison():
    assert "more.weight" in choose_weights({**state(), "more.weight": torch.zeros(2)}, NAMES, FILE).tensors
    under = choose_weights({"net": {**state(prefix="module."), "module.more": torch.zeros(2)}}, NAMES, FILE)
    assert "more" in under.tensors


def test_a_prefix_that_only_the_network_has_is_added():
    wrapped = [f"module.net.{name}" for name in NAMES]
    choice = choose_weights({"params": state()}, wrapped, FILE)
    assert (choice.prefix, choice.added) == ("params.", "module.net.")
    assert sorted(choice.tensors) == sorted(wrapped)


def test_wrappers_inside_names_are_removed_unless_they_are_the_networks():
    inside = {name.replace("first.", "first._orig_mod."): value for name, value in state().items()}
    assert sorted(choose_weights(inside, NAMES, FILE).tensors) == sorted(NAMES)
    assert sorted(choose_weights(inside, inside.keys(), FILE).tensors) == sorted(inside)


def test_an_absent_counter_of_batch_normalisation_is_zero():
    tensors = choose_weights(state(names=NAMES[:3]), NAMES, FILE).tensors
    assert tensors["norm.num_batches_tracked"] == 0
    assert "norm.num_batches_tracked" not in choose_weights(state(names=NAMES[:2]), NAMES, FILE).tensors

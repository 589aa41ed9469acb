"""State dicts that are offered for a network that is not known yet."""

from pathlib import Path

import pytest
import torch

from spair.network import CheckpointError
from spair.network.files.candidates import MOST, list_candidates

FILE = Path("a.pth")


def state(value: float = 1.0, prefix: str = "", names=("body.0.weight", "body.0.bias", "tail.weight")):
    return {f"{prefix}{name}": torch.full((2,), value) for name in names}


@pytest.mark.parametrize(
    ("content", "prefix"),
    [
        (state(), ""),
        ({"params": state()}, "params."),
        ({"state_dict": state(prefix="module.")}, "state_dict.module."),
        ({"params": state(2), "params_ema": state()}, "params_ema."),
        ({"state_dict": {**state(2, "model."), **state(1, "ema_model.")}}, "state_dict.ema_model."),
        ({**state(), "epoch": torch.tensor(3)}, ""),
        (state(prefix="_orig_mod."), ""),
    ],
    ids=["own", "dictionary", "wrapped", "averaged", "averaged module", "counter", "compiled"],
)
def test_the_weights_are_among_the_candidates_and_averaged_ones_come_first(content, prefix):
    names = set(state())
    fitting = [choice for choice in list_candidates(content, FILE) if set(choice.tensors) == names]
    assert fitting[0].prefix == prefix
    assert all((value == 1).all() for value in fitting[0].tensors.values())


def test_larger_state_dicts_come_before_smaller_ones():
    content = {"net_d": state(2), "net_g": {**state(), "more.weight": torch.zeros(2)}}
    sizes = [len(choice.tensors) for choice in list_candidates(content, FILE)]
    assert sizes == sorted(sizes, reverse=True) and sizes[:3] == [7, 4, 3]


def test_other_places_and_what_is_left_out_are_told():
    content = {"params": state(2), "params_ema": state(), "optimizer": {"step": torch.ones(2)}}
    choice = next(choice for choice in list_candidates(content, FILE) if choice.prefix)
    assert (choice.prefix, choice.others, choice.ignored) == ("params_ema.", ("params.",), ("params", "optimizer"))


def test_a_key_looks_into_one_dictionary():
    content = {"params": state(2), "params_ema": state()}
    choices = list(list_candidates(content, FILE, key="params"))
    assert {choice.prefix.split(".")[0] for choice in choices} <= {"", "params"}
    assert all((value == 2).all() for choice in choices for value in choice.tensors.values())
    with pytest.raises(CheckpointError, match="a.pth holds no weights under 'net', it has params .3., params_ema .3."):
        list(list_candidates(content, FILE, key="net"))


def test_the_number_of_candidates_is_bounded():
    content = {f"block{place}": state() for place in range(100)}
    assert len(list(list_candidates(content, FILE))) == MOST

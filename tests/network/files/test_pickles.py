"""Reading of pickles without running them."""

import argparse
import collections
import datetime
import pathlib

import numpy as np
import pytest
import torch

from spair.network import CheckpointError
from spair.network.files.pickles import StandIn, read_pickle

BESIDE = {
    "numbers": [np.float64(31.5), np.float32(1), np.int64(3), np.bool_(True)],
    "arrays": [np.arange(3.0), np.array(["a", "bc"]), np.zeros((2, 2), np.uint8), np.array([{}, None])],
    "generators": [np.random.get_state(), np.random.RandomState(1)],
    "arguments": argparse.Namespace(lr=1e-4, out=pathlib.Path("runs")),
    "paths": [pathlib.Path("/a"), pathlib.PureWindowsPath("C:/a")],
    "times": [datetime.datetime(2026, 1, 1), datetime.timedelta(1)],
    "history": collections.defaultdict(list, {"loss": [0.5]}),
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", BESIDE)
def test_what_trainers_leave_beside_weights_does_not_hinder(tmp_path, name, zipped):
    content = {"best": BESIDE[name], "state_dict": {"a": torch.ones(2)}}
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    assert torch.equal(read_pickle(tmp_path / "a.pth")["state_dict"]["a"], torch.ones(2))


def test_stand_ins_hold_nothing_of_the_file(tmp_path):
    torch.save(argparse.Namespace(lr=1e-4), tmp_path / "a.pth")
    held = read_pickle(tmp_path / "a.pth")
    assert type(held) is StandIn
    assert vars(held) == {}


class Odd:
    """Object of a class that no list names."""


def test_another_class_is_named(tmp_path):
    torch.save({"a": torch.ones(1), "odd": Odd()}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"class tests\.network\.files\.test_pickles\.Odd, which is code"):
        read_pickle(tmp_path / "a.pth")


def test_the_list_is_not_left_open(tmp_path):
    torch.save({"a": np.float64(1)}, tmp_path / "a.pth")
    read_pickle(tmp_path / "a.pth")
    assert not any(isinstance(one, tuple) and one[0] is StandIn for one in torch.serialization.get_safe_globals())

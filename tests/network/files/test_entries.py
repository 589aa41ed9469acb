"""Tensors of a file by dotted names."""

from pathlib import Path

import pytest
import torch

from spair.network import CheckpointError
from spair.network.files.entries import count_averages, list_entries, prefixes_of, remove_wrappers

ONE = torch.ones(1)


def test_tensors_are_found_in_dictionaries_and_lists_down_to_a_depth():
    content = {"a": [ONE, {"b.c": ONE}], 3: ONE, "d": {"e": {"f": {"g": {"h": ONE, "i": {"j": ONE}}}}}, "k": "text"}
    entries = list_entries(content, Path("a.pth"), None)
    assert [(entry.name, entry.group) for entry in entries] == [
        ("a.0", "a."), ("a.1.b.c", "a.1."), ("d.e.f.g.h", "d.e.f.g."),
    ]  # fmt: skip


@pytest.mark.parametrize("content", [{}, [], 3, {"a": "text"}, None], ids=repr)
def test_a_file_without_tensors_is_refused(content):
    with pytest.raises(
        CheckpointError, match=r"a.pth does not hold a state dict of tensors; save model.state_dict\(\)"
    ):
        list_entries(content, Path("a.pth"), None)


def test_wrappers_go_unless_the_network_has_the_name():
    assert remove_wrappers("_orig_mod.a._fsdp_wrapped_module.b") == "a.b"
    assert remove_wrappers("_orig_mod.a", {"_orig_mod.a"}) == "_orig_mod.a"


def test_prefixes_end_with_a_dot():
    assert list(prefixes_of("a.b.c")) == ["", "a.", "a.b."]


@pytest.mark.parametrize(
    ("prefix", "count"), [("params_ema.", 1), ("schema.", 0), ("ema.avg_model.", 2), ("net_g.", 0), ("", 0)]
)
def test_averaged_weights_are_known_by_their_place(prefix, count):
    assert count_averages(prefix) == count

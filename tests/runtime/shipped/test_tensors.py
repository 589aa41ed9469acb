"""Checkpoints are read as the package safetensors reads them, and damaged ones are refused."""

import json
import struct

import numpy as np
import pytest

from spair.runtime import UserError
from spair.runtime.shipped.models import list_models
from spair.runtime.shipped.tensors import read_tensors
from tests.runtime.shipped.conftest import TENSORS, write_checkpoint


def test_tensors_and_texts_come_back(checkpoint):
    stored = read_tensors(checkpoint)
    assert stored.names() == tuple(TENSORS)
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(stored.read(name), tensor)
    assert stored.metadata == {"task": "rain"}
    assert stored.parameters == sum(tensor.size for tensor in TENSORS.values())


def test_the_package_safetensors_reads_the_same_from_shipped_weights():
    from safetensors.numpy import load_file

    path = list_models()[0].checkpoint
    stored, expected = read_tensors(path), load_file(path)
    assert set(stored.names()) == set(expected)
    assert all(np.array_equal(stored.read(name), tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("length", [0, 5, 20])
def test_a_file_cut_in_its_header_is_refused(checkpoint, length):
    checkpoint.write_bytes(checkpoint.read_bytes()[:length])
    with pytest.raises(UserError, match=r"cannot read the shipped weights .*install spair-rt again"):
        read_tensors(checkpoint)


def test_a_file_cut_in_its_data_is_refused(checkpoint):
    checkpoint.write_bytes(checkpoint.read_bytes()[:-4])
    with pytest.raises(UserError, match="cannot read the shipped weights .*scale needs bytes"):
        read_tensors(checkpoint)


@pytest.mark.parametrize(
    "entry",
    [3, {}, {"dtype": "F32", "data_offsets": [0, 4]}, {"dtype": "F32", "shape": ["a"], "data_offsets": [0, 4]},
     {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}, {"dtype": "F32", "shape": [1], "data_offsets": [0]}],
    ids=str,
)  # fmt: skip
def test_a_damaged_entry_is_refused(tmp_path, entry):
    text = json.dumps({"a": entry}).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"1234")
    with pytest.raises(UserError, match="cannot read the shipped weights"):
        read_tensors(tmp_path / "a.safetensors")


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot read the shipped weights"):
        read_tensors(tmp_path / "absent.safetensors")


def test_another_type_and_an_unknown_tensor_are_refused(tmp_path, checkpoint):
    half = write_checkpoint(tmp_path / "half.safetensors", {"a": np.zeros(4, "<f2")}, dtype="F16")
    with pytest.raises(UserError, match="a is of type F16, expected F32"):
        read_tensors(half).read("a")
    with pytest.raises(UserError, match="'b'"):
        read_tensors(checkpoint).read("b")

"""Tensors are looked at before anything is computed with them."""

from pathlib import Path

import pytest
import torch

from spair.network import CheckpointError
from spair.network.files.bounds import parse_metadata, require_plain

HERE = Path("a.pth")


def test_plain_tensors_and_views_of_them_pass():
    base = torch.zeros(4, 6)
    tied = {"a": base, "b": base.T, "c": base[1:], "empty": torch.zeros(0), "scalar": torch.tensor(3)}
    require_plain(tied, HERE)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.zeros(1).expand(10**6, 10**6), "1000000000000 numbers in 4 bytes"),
        (torch.zeros(8).as_strided((5, 5), (0, 1)), "25 numbers in 32 bytes"),
        (torch.zeros(3, device="meta"), "no content here"),
        (torch.zeros(3, 3).to_sparse(), "sparse or nested"),
        (torch.zeros(3, 3).to_sparse_csr(), "sparse or nested"),
        (torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8), "quantized"),
        (torch.zeros(3, dtype=torch.complex64), "complex"),
    ],
    ids=["expanded", "overlapping", "meta", "sparse", "csr", "quantized", "complex"],
)
def test_others_are_refused_by_name(value, words):
    with pytest.raises(CheckpointError, match=f"a.pth holds a tensor odd that .*{words}.*; save plain tensors"):
        require_plain({"fine": torch.zeros(2), "odd": value}, HERE)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "1" * 5000, " " * 2_000_000, r'{"a": "\ud800"}'])
def test_metadata_that_is_no_json_is_a_reason(text):
    with pytest.raises(ValueError):
        parse_metadata(text)
    assert parse_metadata('{"a": [1]}') == {"a": [1]}

"""Networks are built only as large as their file explains."""

import pytest
import torch

from spair.export.catalogue.bounds import AllocationLimit, find_excess


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("body.70.weight", "has a larger number than 1 tensors explain"),
        ("body.1_000_000.weight", "has a larger number"),
        ("body.٩٩٩٩٩٩.weight", "has a larger number"),
        ("body.99999999999999999999.weight", "has a larger number"),
        ("body.60.conv1x1.weight", None),
    ],
)
def test_numbers_in_names_are_bounded_by_the_number_of_tensors(name, reason):
    found = find_excess({name: torch.ones(1)})
    assert (found is None) if reason is None else found.endswith(f"name {name} {reason}") or reason in found


def test_an_empty_tensor_is_named():
    assert find_excess({"a": torch.ones(1), "b": torch.ones(9, 0)}) == "its tensor b is empty"


@pytest.mark.parametrize(
    "make", [torch.empty, torch.zeros, torch.ones, torch.rand, torch.Tensor], ids=lambda one: one.__name__
)
def test_a_tensor_above_the_limit_is_refused_and_one_below_is_made(make):
    with AllocationLimit({"a": torch.ones(3)}):
        assert make(4, 5).shape == (4, 5)
        with pytest.raises(ValueError, match="its shapes ask for a tensor of 100000x100000 numbers"):
            make(100_000, 100_000)


def test_modules_are_made_under_the_limit():
    with AllocationLimit({}):
        torch.nn.Conv2d(3, 8, 3)
        with pytest.raises(ValueError, match="100000x100000x3x3"):
            torch.nn.Conv2d(100_000, 100_000, 3)

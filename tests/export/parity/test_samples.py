"""What parity is shown on: the densities and channels that were asked for."""

import pytest
import torch

from spair.export.graphs import GraphSpec
from spair.export.parity.samples import find_threshold, make_inputs, pad_inputs, random_mask


@pytest.mark.parametrize(("density", "count"), [(0.0, 0), ("one pixel", 1), (0.02, 1), (0.5, 25), (1.0, 50)])
def test_as_many_logits_exceed_the_threshold_as_asked(density, count):
    logits = torch.randn(2, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    assert (logits > find_threshold(logits, density)).sum() == count


def test_masks_have_the_density_asked_for():
    shape = (2, 1, 50, 40)
    assert random_mask(shape, 0.0, 0).sum() == 0
    assert random_mask(shape, "one pixel", 0).sum((2, 3)).flatten().tolist() == [1, 1]
    assert random_mask(shape, 0.1, 0).mean() == pytest.approx(0.1, abs=0.02)
    assert random_mask(shape, 1.0, 0).mean() == 1


def make_spec(**fields) -> GraphSpec:
    inputs = {"image": (torch.rand(2, 1, 8, 9), 1), "mask": (torch.rand(2, 4, 8, 9), 1)}
    return GraphSpec(torch.nn.Identity(), inputs, ("restored",), **{"multiple": 1, "any_size": False, **fields})


def test_inputs_have_the_channels_of_the_examples_whatever_their_names():
    seen = list(make_inputs(make_spec()))
    assert {(x["image"].shape[1], x["mask"].shape[1]) for x in seen} == {(1, 4)}
    assert {tuple(x["image"].shape[2:]) for x in seen} >= {(1, 1), (37, 50)}
    assert {x["image"].shape[0] for x in seen} == {1, 2}


@pytest.mark.parametrize(("size", "expected"), [((1, 9), (12, 12)), ((12, 13), (12, 16)), ((30, 3), (32, 12))], ids=str)
def test_inputs_are_padded_by_their_edge_as_in_the_graph(size, expected):
    value = torch.rand(1, 2, *size)
    padded = pad_inputs(value, make_spec(multiple=4, any_size=True, min_size=10))
    assert padded.shape[2:] == expected
    assert torch.equal(padded[..., : size[0], : size[1]], value)
    assert (padded[..., size[0] - 1 :, size[1] - 1 :] == value[..., -1:, -1:]).all()

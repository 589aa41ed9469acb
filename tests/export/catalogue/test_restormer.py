"""Restormer computes its definition, and its size is the published one."""

import dataclasses

import pytest
import torch
from torch.nn import functional

from spair.export.catalogue.restormer import RESTORMER, Restormer, Sizes, _Attention, _Norm

SMALL = Sizes(3, 8, (1, 2, 1, 1), (1, 2, 4, 8), (21, 42, 85, 170, 42), 1, bias=False, centred=True)
PUBLISHED = Sizes(3, 48, (4, 6, 6, 8), (1, 2, 4, 8), (127, 255, 510, 1021, 255), 4, bias=False, centred=True)


def test_the_published_size_has_26_million_parameters():
    with torch.device("meta"):
        module = Restormer(PUBLISHED)
    assert sum(parameter.numel() for parameter in module.parameters()) == 26_126_644


@pytest.mark.parametrize(
    "change",
    [{}, {"centred": False}, {"bias": True}, {"colours": 1}, {"refinement": 3}, {"blocks": (2, 1, 1, 2)}],
    ids=str,
)
def test_sizes_are_read_from_the_weights(change):
    module = Restormer(dataclasses.replace(SMALL, **change)).eval()
    state = module.state_dict()
    assert RESTORMER.detect(state)
    known = RESTORMER.build(state)
    assert (known.multiple, known.channels) == (8, change.get("colours", 3))
    image = torch.rand(2, known.channels, 8, 16)
    with torch.no_grad():
        assert torch.equal(known.module.eval()(image), module(image))


def test_pixels_are_normalised_over_their_channels():
    x = torch.rand(2, 6, 3, 4)
    moved = x.movedim(1, -1)
    expected = functional.layer_norm(moved, (6,)).movedim(-1, 1)
    torch.testing.assert_close(_Norm(6, centred=True)(x), expected)
    spread = (moved.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(_Norm(6, centred=False)(x), (moved / spread).movedim(-1, 1))


def test_attention_compares_channels_of_a_head():
    torch.manual_seed(0)
    module = _Attention(4, 2, bias=True)
    x = torch.rand(1, 4, 3, 5)
    with torch.no_grad():
        module.temperature.copy_(torch.tensor([2.0, 0.5]).reshape(2, 1, 1))
        q, k, v = module.qkv_dwconv(module.qkv(x)).reshape(3, 2, 2, 15)
        mixed = torch.zeros(2, 2, 15)
        for head in range(2):
            lengths = q[head].norm(dim=1)[:, None] * k[head].norm(dim=1)[None]
            share = (q[head] @ k[head].T / lengths * module.temperature[head]).softmax(1)
            mixed[head] = share @ v[head]
        torch.testing.assert_close(module(x), module.project_out(mixed.reshape(1, 4, 3, 5)))


def test_a_network_of_two_pictures_is_none():
    state = Restormer(SMALL).state_dict()
    assert not RESTORMER.detect({**state, "patch_embed.proj.weight": torch.ones(8, 6, 3, 3)})
    assert not RESTORMER.detect({**state, "skip_conv.weight": torch.ones(16, 8, 1, 1)})

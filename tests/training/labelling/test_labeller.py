"""Laws of the network that labels shadows and of its encoder."""

import sys

import pytest
import torch
from torch import nn

from spair.runtime.errors import UserError
from spair.training.labelling.labeller import TAPS, Encoder, Labeller, load_encoder


def test_a_missing_encoder_is_told_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(UserError, match=r"install it: pip install efficientnet-lite-pytorch=="):
        load_encoder()


def test_the_encoder_takes_the_last_map_of_each_size():
    network = nn.Module()
    network._conv_stem, network._bn0, network._swish = nn.Conv2d(3, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU6()
    strides = {1: 2, 3: 2, 5: 2, 11: 2}
    channels, blocks = 32, []
    for index in range(16):
        outer = next(count for last, count in TAPS.items() if index <= last)
        blocks.append(nn.Conv2d(channels, outer, 3, strides.get(index, 1), 1))
        channels = outer
    network._blocks = nn.ModuleList(blocks)
    maps = Encoder(network)(torch.zeros(1, 3, 64, 96))
    assert [tuple(x.shape[1:]) for x in maps] == [
        (16, 32, 48), (24, 16, 24), (40, 8, 12), (112, 4, 6), (320, 2, 3),
    ]  # fmt: skip
    assert Labeller(Encoder(network), Encoder.channels)(torch.zeros(1, 3, 64, 96)).shape == (1, 1, 64, 96)


def test_the_encoder_keeps_the_statistics_that_it_was_trained_with():
    network = nn.Sequential(nn.BatchNorm2d(3))
    labeller = Labeller(Encoder(network), Encoder.channels)
    labeller.train()
    assert labeller.training and not network.training and not network[0].training
    assert all(parameter.requires_grad for parameter in network.parameters())

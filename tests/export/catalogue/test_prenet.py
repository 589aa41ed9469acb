"""PReNet is built of the sizes of its weights."""

import pytest
import torch

from spair.export.catalogue.prenet import PRENET, PReNet


@pytest.mark.parametrize(
    ("sizes", "name"),
    [
        ({}, "PReNet"),
        ({"shared": True}, "PReNet_r"),
        ({"channels": 8, "blocks": 3, "colours": 1}, "PReNet"),
    ],
    ids=["published", "shared", "small gray"],
)
def test_sizes_are_read_from_the_weights(sizes, name):
    module = PReNet(**sizes).eval()
    assert PRENET.detect(module.state_dict())
    known = PRENET.build(module.state_dict())
    assert (known.name, known.channels, known.scale) == (name, sizes.get("colours", 3), 1)
    assert len(known.notes) == (2 if sizes.get("shared") else 1)
    image = torch.rand(1, known.channels, 7, 9)
    with torch.no_grad():
        assert torch.equal(known.module.eval()(image), module(image))


def test_a_network_of_other_inputs_is_none():
    state = PReNet().state_dict()
    assert not PRENET.detect({**state, "conv0.0.weight": torch.ones(32, 3, 3, 3)})
    assert not PRENET.detect({**state, "conv_i.0.weight": torch.ones(32, 32, 3, 3)})

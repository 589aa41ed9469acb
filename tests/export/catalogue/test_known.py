"""Known networks describe themselves for the export."""

import pytest
import torch
from torch import nn

from spair.export.catalogue.known import Known, WithNoise, count_blocks
from spair.runtime import UserError

KNOWN = Known("Some", nn.Conv2d(3, 3, 1), 3, 1, "spair", multiple=8, min_size=16)
NOISY = Known("Some", nn.Conv2d(4, 3, 1), 3, 1, "spair", noise=True)


def test_what_is_known_is_taken_unless_the_user_says_otherwise():
    interface = KNOWN.make_interface()
    assert (interface.inputs, interface.multiple, interface.min_size) == ((("image", 3),), 8, 16)
    interface = KNOWN.make_interface(multiple=4, colour="luma")
    assert (interface.multiple, interface.min_size, interface.colour) == (4, 16, "luma")


def test_a_level_of_noise_is_asked_for():
    with pytest.raises(UserError, match=r"Some takes a level of noise .*, for example --side-input noise=25/255"):
        NOISY.make_interface()
    with pytest.raises(UserError, match="level of noise"):
        NOISY.make_interface(sides=(("sigma", 0.1),))
    interface = NOISY.make_interface(sides=(("noise", 0.1),))
    assert interface.inputs == (("image", 3), ("noise", 1)) and interface.sides == (("noise", 0.1),)


def test_the_json_names_sizes():
    assert KNOWN.to_json() == {
        "name": "Some", "source": "spair", "scale": 1, "channels": 3, "parameters": 12, "details": []
    }  # fmt: skip


def test_the_level_of_noise_is_the_last_channel():
    image, noise = torch.rand(2, 3, 4, 5), torch.rand(2, 1, 4, 5)
    assert torch.equal(WithNoise(nn.Identity())(image, noise), torch.cat((image, noise), 1))


def test_blocks_are_counted_by_their_names():
    state = dict.fromkeys(("body.0.a", "body.0.b", "body.2.a", "bodyguard.1.a", "tail.a"), torch.ones(1))
    assert (count_blocks(state, "body."), count_blocks(state, "head.")) == (2, 0)

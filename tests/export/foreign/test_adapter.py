"""Outputs of adapted modules are flat, chosen and in 0..1."""

import torch
from torch import nn

from spair.export.foreign.adapter import Adapted, Side, keys_of, tensors_of


class Nested(nn.Module):
    def forward(self, image, level):
        return {"parts": [image * 255, 3, image[:, :1]], "level": level}


def test_outputs_keep_their_order_and_their_keys():
    image = torch.ones(2, 3, 4, 4)
    adapted = Adapted(Nested(), (Side("noise", 2.0, "N"),))
    assert keys_of(adapted.call(image)) == ("0", "2", "level")
    assert [tuple(leaf.shape) for leaf in adapted(image)] == [(2, 3, 4, 4), (2, 1, 4, 4), (2,)]
    adapted.chosen, adapted.to_unit = (0, 2), (1 / 255, 0.5)
    picture, level = adapted(image)
    assert torch.allclose(picture, torch.full_like(image, 1.5)) and torch.equal(level, torch.full((2,), 2.0))


def test_integers_become_floats_and_what_is_no_tensor_is_left_out():
    class Bytes(nn.Module):
        def forward(self, image):
            return (image * 255).to(torch.uint8), None, "text"

    adapted = Adapted(Bytes())
    adapted.chosen, adapted.to_unit = (0,), (1 / 255, 0.0)
    (picture,) = adapted(torch.ones(1, 3, 2, 2))
    assert picture.dtype == torch.float32 and torch.allclose(picture, torch.ones(1, 3, 2, 2))
    assert tensors_of(7) == ()

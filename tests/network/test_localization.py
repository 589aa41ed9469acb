"""Laws of Net_L."""

import copy

import pytest
import torch

from tests.network.small import SMALL, make_picture


@pytest.mark.parametrize("pixel", [(100, 100), (103, 101), (97, 99)], ids=str)
def test_no_input_beyond_the_stated_radius_reaches_net_l(model, pixel):
    image = make_picture(1, 200, 200).requires_grad_()
    logits, features = model.net_l(image)
    row, column = pixel
    outputs = [logits, *features]
    total = sum(
        part[..., row >> (s - 1 if s else 0), column >> (s - 1 if s else 0)].sum() for s, part in enumerate(outputs)
    )
    (gradient,) = torch.autograd.grad(total, image)
    rows, columns = torch.nonzero(gradient.abs().amax((0, 1)), as_tuple=True)
    reach = max((rows - row).abs().max(), (columns - column).abs().max())
    assert 40 < reach <= model.net_l.receptive_radius


@pytest.mark.parametrize("size", [(8, 8), (8, 40), (24, 16)], ids=str)
@torch.no_grad()
def test_logits_and_features_have_the_stated_sizes_and_features_no_sign(model, size):
    height, width = size
    logits, features = model.net_l(make_picture(2, height, width))
    assert logits.shape == (2, 1, height, width)
    expected = [(2, channels, height >> scale, width >> scale) for scale, channels in enumerate(SMALL.feature_channels)]
    assert [tuple(part.shape) for part in features] == expected
    assert all(part.min() >= 0 and part.max() > 0 for part in features)


@torch.no_grad()
def test_a_picture_moved_by_eight_pixels_has_its_logits_moved_by_eight(model):
    """Compare pixels that no border reaches, in float64, where sums in another order agree to about 1e-14."""
    exact, radius = copy.deepcopy(model.net_l).double(), model.net_l.receptive_radius
    image = make_picture(1, 16, 2 * radius + 40).double()
    moved, inner = image[..., 8:], slice(radius, radius + 24)
    here, there = exact(image)[0], exact(moved)[0]
    torch.testing.assert_close(there[..., inner], here[..., radius + 8 : radius + 32], atol=1e-9, rtol=0)
    assert (there[..., inner] - here[..., inner]).abs().max() > 1e-6

"""Laws of Net_R."""

import dataclasses

import pytest
import torch

from spair.network import SPAIR
from spair.network.restoration import SparseConvolutionModule, SparseNonLocalModule
from spair.network.spair import mask_pyramid
from tests.network.small import SMALL, find_affine, make_mask, make_picture, randomize


@pytest.mark.parametrize("pixel", [(96, 96), (99, 97), (103, 103)], ids=str)
def test_no_input_beyond_the_stated_radius_reaches_net_r(model, pixel):
    image = make_picture(1, 192, 192)
    mask = torch.ones(1, 1, 192, 192)
    features, _, keys = find_affine(model, image, make_mask(image, 0.5))
    inputs = [image.requires_grad_(), *(part.detach().requires_grad_() for part in features)]
    tile = model.net_r(inputs[0], mask_pyramid(mask), tuple(inputs[1:]), *keys)
    gradients = torch.autograd.grad(tile[..., pixel[0], pixel[1]].sum(), inputs)
    reach = 0
    for scale, gradient in zip((0, 0, 1, 2), gradients, strict=True):
        positions = torch.nonzero(gradient.abs().amax((0, 1))) << scale
        last = positions.max(0).values + (1 << scale) - 1  # a coarse value comes from this far
        first = positions.min(0).values
        reach = max(reach, int((last - torch.tensor(pixel)).max()), int((torch.tensor(pixel) - first).max()))
    assert 20 < reach <= model.net_r.receptive_radius


@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
@torch.no_grad()
def test_the_residual_is_zero_at_clean_pixels_and_elsewhere_is_not(model, density):
    image = make_picture(2, 24, 16)
    mask = make_mask(image, density)
    features, _, keys = find_affine(model, image, mask)
    residual = model.net_r(image, mask_pyramid(mask), features, *keys)
    distorted = (mask > 0).expand_as(residual)
    assert not residual[~distorted].any()
    assert (residual[distorted] != 0).all()


@torch.no_grad()
def test_an_ungated_residual_is_the_bias_beyond_one_pixel_from_the_mask():
    """Mark one pixel, whose cell of the coarsest scale covers 4x4 pixels."""
    model = randomize(SPAIR(dataclasses.replace(SMALL, gate_output=False)))
    image, mask = make_picture(1, 24, 24), torch.zeros(1, 1, 24, 24)
    mask[..., 13, 13] = 1
    features, _, keys = find_affine(model, image, mask)
    residual = model.net_r(image, mask_pyramid(mask), features, *keys)
    assert model.net_r.out.bias is not None
    changed = (residual != model.net_r.out.bias[:, None, None]).any(1)[0]
    expected = torch.zeros(24, 24, dtype=torch.bool)
    expected[12:15, 12:15] = True
    assert torch.equal(changed, expected)


@torch.no_grad()
def test_a_fresh_stack_is_the_identity():
    torch.manual_seed(0)
    x = torch.randn(1, 5, 7, 9)
    mask = make_mask(x, 0.5)
    stack = SparseConvolutionModule(5, 3)
    assert torch.equal(stack(x * mask, mask), x * mask)
    stack.pairs[1].second.weight.fill_(0.1)
    assert not torch.equal(stack(x * mask, mask), x * mask)


@torch.no_grad()
def test_without_a_clean_key_attention_adds_only_its_bias_to_distorted_pixels():
    torch.manual_seed(0)
    module = SparseNonLocalModule(4, 6, 8)
    x, keys = torch.randn(2, 4, 5, 3), torch.randn(2, 6, 4, 4)
    mask, none = make_mask(x, 0.5), torch.zeros(2, 1, 4, 4)
    assert module.out.bias is not None
    torch.testing.assert_close(module(x, mask, keys, none), x + mask * module.out.bias[:, None, None])
    assert (module(x, mask, keys, 1 - none) - module(x, mask, keys, none)).abs().max() > 1e-3

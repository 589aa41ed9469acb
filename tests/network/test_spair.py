"""Laws of the whole network."""

import dataclasses

import pytest
import torch

from spair.network import SPAIR, TINY, Restored
from spair.network.operators import _moments
from spair.network.spair import MODULATED, clean_grid, mask_pyramid

SMALL = dataclasses.replace(TINY, name="small", local_channels=(4, 6, 8), channels=(6, 8, 8), grid=4)


@pytest.fixture(scope="module")
def model() -> SPAIR:
    return randomized(SPAIR(SMALL))


def randomized(model: SPAIR) -> SPAIR:
    """Return a network in which every block changes the result.

    A fresh network starts as the identity.
    """
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 4
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / fan_in**0.5)
    return model.eval()


def picture(batch: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def random_mask(image: torch.Tensor, density: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return (torch.rand(image.shape[0], 1, *image.shape[2:], generator=generator) < density).float()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 13), (8, 8), (33, 40)], ids=str)
@torch.no_grad()
def test_any_size_comes_back_in_its_size(model, size):
    restored = model(picture(2, *size))
    assert restored.image.shape == (2, 3, *size)
    assert restored.mask.shape == restored.logits.shape == (2, 1, *size)
    assert set(restored.mask.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("density", [0.0, 0.1, 1.0])
@torch.no_grad()
def test_clean_pixels_come_back_bit_for_bit_and_distorted_ones_in_range(model, density):
    image = picture(2, 21, 30)
    mask = random_mask(image, density)
    restored = model(image, mask)
    clean = (mask == 0).expand_as(image)
    assert torch.equal(restored.image[clean], image[clean])
    assert torch.isfinite(restored.image).all()
    assert restored.image.min() >= 0
    assert restored.image.max() <= 1
    if density:
        assert (restored.image[~clean] != image[~clean]).float().mean() > 0.9


@torch.no_grad()
def test_a_residual_that_is_not_finite_cannot_reach_clean_pixels(model):
    image = picture(1, 8, 8)
    mask = random_mask(image, 0.5)
    result = model.compose(image, mask, torch.full_like(image, float("nan")))
    assert torch.equal(result[(mask == 0).expand_as(image)], image[(mask == 0).expand_as(image)])


@torch.no_grad()
def test_without_the_gate_the_last_convolution_reaches_one_pixel_further():
    model = randomized(SPAIR(dataclasses.replace(SMALL, gate_output=False)))
    image = picture(1, 24, 24)
    mask = torch.zeros(1, 1, 24, 24)
    mask[..., 12, 12] = 1
    changed = (model(image, mask).image != image).any(1)[0]
    bias_only = (model(image, torch.zeros_like(mask)).image != image).any(1)[0]
    assert changed[11:14, 11:14].all()
    assert bias_only.any()  # an ungated output layer adds its bias everywhere


@torch.no_grad()
def test_a_constant_picture_with_one_distorted_pixel_is_finite(model):
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 3, 4] = 1
    assert torch.isfinite(model(torch.full((1, 3, 16, 16), 0.5), mask).image).all()


@torch.no_grad()
def test_pictures_of_a_batch_do_not_influence_each_other(model):
    image = picture(3, 24, 32)
    mask = random_mask(image, 0.3)
    together = model(image, mask).image
    alone = torch.cat([model(image[i : i + 1], mask[i : i + 1]).image for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_gradients_reach_every_parameter(model):
    image = picture(2, 24, 32)
    mask = random_mask(image, 0.4)
    mask[..., :16] = 0  # coarse masks are nearly full at 40 %: leave clean keys for the non-local module
    restored = model(image, mask)
    loss = (restored.image * picture(2, 24, 32)).sum() + restored.logits.square().mean()
    gradients = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    for (name, _), gradient in zip(model.named_parameters(), gradients, strict=True):
        # A softmax does not see a constant added to all keys, so the key bias has no gradient.
        if name != "net_r.snl.key.bias":
            assert gradient is not None, name
            assert gradient.abs().max() > 0, name


@torch.no_grad()
def test_coarse_masks_lose_no_distorted_pixel(model):
    mask = torch.zeros(1, 1, 16, 24)
    mask[..., 13, 22] = 1
    full, half, quarter = mask_pyramid(mask)
    assert full.sum() == half.sum() == quarter.sum() == 1
    assert half[..., 6, 11] == quarter[..., 3, 5] == 1


def test_clean_grid_is_the_mean_of_each_cells_clean_pixels():
    features = torch.rand(2, 3, 5, 7)
    mask = random_mask(features, 0.5)
    keys, key_mask = clean_grid(features, mask, 4)
    for n, row, column in [(0, 0, 0), (1, 2, 3), (0, 3, 1)]:
        inside = [(y, x) for y in range(5) for x in range(7) if y * 4 // 5 == row and x * 4 // 7 == column]
        clean = [features[n, :, y, x] for y, x in inside if mask[n, 0, y, x] == 0]
        expected = torch.stack(clean).mean(0) if clean else torch.zeros(3)
        torch.testing.assert_close(keys[n, :, row, column], expected)
        assert key_mask[n, 0, row, column] == float(bool(clean))


def affine_of(model: SPAIR, image: torch.Tensor, mask: torch.Tensor):
    features, masks = model.localize(image).features, mask_pyramid(mask)
    affine = []
    for scale in MODULATED:
        mean0, var0, _ = _moments(features[scale], 1 - masks[scale])
        mean1, var1, _ = _moments(features[scale], masks[scale])
        factor = torch.sqrt((var0 + 1e-5) / (var1 + 1e-5))
        affine += [factor, mean0 - mean1 * factor]
    return features, affine, clean_grid(features[2], masks[2], model.preset.grid)


@torch.no_grad()
def test_a_tile_with_the_pictures_statistics_equals_the_picture(model):
    image = picture(1, 128, 136)
    mask = random_mask(image, 0.2)
    features, affine, keys = affine_of(model, image, mask)
    whole = model.restore(image, mask, features)
    radius = -(-model.net_r.receptive_radius // 8) * 8
    top = slice(0, 32 + radius)  # a core of 32 rows at the upper border, its halo below
    cut = [part[:, :, : (32 + radius) >> scale] for scale, part in enumerate(features)]
    tile = model.restore_tile(image[:, :, top], mask[:, :, top], tuple(cut), tuple(affine), *keys)
    torch.testing.assert_close(tile[:, :, :32], whole[:, :, :32], atol=1e-5, rtol=0)


@pytest.mark.parametrize("pixel", [(100, 100), (103, 101), (97, 99)], ids=str)
def test_no_input_beyond_the_stated_radius_reaches_net_l(model, pixel):
    image = picture(1, 200, 200).requires_grad_()
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


@pytest.mark.parametrize("pixel", [(96, 96), (99, 97), (103, 103)], ids=str)
def test_no_input_beyond_the_stated_radius_reaches_net_r(model, pixel):
    image = picture(1, 192, 192)
    mask = torch.ones(1, 1, 192, 192)
    features, _, keys = affine_of(model, image, random_mask(image, 0.5))
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


def test_the_result_names_its_parts(model):
    assert Restored._fields == ("image", "mask", "logits")

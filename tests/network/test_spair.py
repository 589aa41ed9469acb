"""Laws of the whole network."""

import dataclasses

import pytest
import torch

from spair.network import SPAIR, Restored
from spair.network.spair import clean_grid, mask_pyramid, pad_to_multiple
from tests.network.small import SMALL, find_affine, make_mask, make_picture, randomize


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 13), (8, 8), (33, 40)], ids=str)
@torch.no_grad()
def test_any_size_comes_back_in_its_size(model, size):
    restored = model(make_picture(2, *size))
    assert restored.image.shape == (2, 3, *size)
    assert restored.mask.shape == restored.logits.shape == (2, 1, *size)
    assert set(restored.mask.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("density", [0.0, 0.1, 1.0])
@torch.no_grad()
def test_clean_pixels_come_back_bit_for_bit_and_distorted_ones_in_range(model, density):
    image = make_picture(2, 21, 30)
    mask = make_mask(image, density)
    restored = model(image, mask)
    clean = (mask == 0).expand_as(image)
    assert torch.equal(restored.image[clean], image[clean])
    assert torch.isfinite(restored.image).all()
    assert restored.image.min() >= 0
    assert restored.image.max() <= 1
    if density:
        assert (restored.image[~clean] != image[~clean]).float().mean() > 0.9


SIZES = [(1, 1), (5, 7), (8, 9), (33, 47), (64, 72)]


@pytest.mark.parametrize("gate", [True, False], ids=["gate", "no gate"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@torch.no_grad()
def test_a_found_mask_given_back_gives_the_same_picture_bit_for_bit(size, gate):
    model = randomize(SPAIR(dataclasses.replace(SMALL, gate_output=gate)))
    image = make_picture(2, *size)
    found = model(image)
    given = model(image, found.mask)
    assert torch.equal(given.image, found.image)
    assert torch.equal(given.mask, found.mask)


MASKS = {
    "none": lambda mask: torch.zeros_like(mask),
    "all": lambda mask: torch.ones_like(mask),
    "far corner": lambda mask: torch.nn.functional.pad(torch.ones_like(mask[..., :1, :1]), far(mask)),
}


def far(mask):
    """Amounts that put one pixel into the last row and column of a mask."""
    return (mask.shape[3] - 1, 0, mask.shape[2] - 1, 0)


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("size", SIZES, ids=str)
@torch.no_grad()
def test_what_is_found_in_the_padding_does_not_count(model, monkeypatch, size, kind):
    height, width = size
    image = make_picture(1, *size)
    mask = MASKS[kind](image[:, :1])
    localize = model.localize

    def mark(padded):
        found = localize(padded)
        outside = torch.ones_like(found.mask) - pad_to_multiple(mask)  # in the padding, the opposite of the edge
        outside[..., :height, :width] = mask
        return found._replace(mask=outside)

    monkeypatch.setattr(model, "localize", mark)
    found, given = model(image), model(image, mask)
    assert torch.equal(found.mask, mask) and torch.equal(found.image, given.image)
    assert torch.equal(found.image, image) == (kind == "none")


@torch.no_grad()
def test_a_residual_that_is_not_finite_cannot_reach_clean_pixels(model):
    image = make_picture(1, 8, 8)
    mask = make_mask(image, 0.5)
    result = model.compose(image, mask, torch.full_like(image, float("nan")))
    assert torch.equal(result[(mask == 0).expand_as(image)], image[(mask == 0).expand_as(image)])


@torch.no_grad()
def test_without_the_gate_the_last_convolution_reaches_one_pixel_further():
    model = randomize(SPAIR(dataclasses.replace(SMALL, gate_output=False)))
    image = make_picture(1, 24, 24)
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
    image = make_picture(3, 24, 32)
    mask = make_mask(image, 0.3)
    together = model(image, mask).image
    alone = torch.cat([model(image[i : i + 1], mask[i : i + 1]).image for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_gradients_reach_every_parameter(model):
    image = make_picture(2, 24, 32)
    mask = make_mask(image, 0.4)
    mask[..., :16] = 0  # coarse masks are nearly full at 40 %: leave clean keys for the non-local module
    restored = model(image, mask)
    loss = (restored.image * make_picture(2, 24, 32)).sum() + restored.logits.square().mean()
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
    mask = make_mask(features, 0.5)
    keys, key_mask = clean_grid(features, mask, 4)
    for n, row, column in [(0, 0, 0), (1, 2, 3), (0, 3, 1)]:
        inside = [(y, x) for y in range(5) for x in range(7) if y * 4 // 5 == row and x * 4 // 7 == column]
        clean = [features[n, :, y, x] for y, x in inside if mask[n, 0, y, x] == 0]
        expected = torch.stack(clean).mean(0) if clean else torch.zeros(3)
        torch.testing.assert_close(keys[n, :, row, column], expected)
        assert key_mask[n, 0, row, column] == float(bool(clean))


@torch.no_grad()
def test_a_tile_with_the_pictures_statistics_equals_the_picture(model):
    image = make_picture(1, 128, 136)
    mask = make_mask(image, 0.2)
    features, affine, keys = find_affine(model, image, mask)
    whole = model.restore(image, mask, features)
    radius = -(-model.net_r.receptive_radius // 8) * 8
    top = slice(0, 32 + radius)  # a core of 32 rows at the upper border, its halo below
    cut = [part[:, :, : (32 + radius) >> scale] for scale, part in enumerate(features)]
    tile = model.restore_tile(image[:, :, top], mask[:, :, top], tuple(cut), tuple(affine), *keys)
    torch.testing.assert_close(tile[:, :, :32], whole[:, :, :32], atol=1e-5, rtol=0)


def test_the_result_names_its_parts(model):
    assert Restored._fields == ("image", "mask", "logits")

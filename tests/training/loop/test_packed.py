"""Packed Net_R has the values and gradients of dense Net_R."""

import pytest
import torch

from spair.network import SPAIR, Preset
from spair.network.presets import TINY
from spair.training.loop.packed import Rows, restore_by_density, restore_packed

SMALL = Preset("small", (4, 6, 8), 3, (5, 6, 7), (1, 2, 1), 4, grid=3)
HEIGHT, WIDTH = 24, 40


@pytest.fixture
def model():
    """Random weights everywhere (layers that start as the identity too), in double precision."""
    torch.manual_seed(0)
    network = SPAIR(SMALL).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network


@pytest.fixture
def image():
    return torch.rand(3, 3, HEIGHT, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def one_pixel(mask):
    mask[1, 0, 7, 11] = 1


def corners(mask):
    mask[:, :, [0, 0, -1, -1], [0, -1, 0, -1]] = 1


def scattered(mask):
    mask[:] = (torch.rand(mask.shape, generator=torch.Generator().manual_seed(2)) < 0.3).to(mask.dtype)


def mixed(mask):
    """One picture clean, one scattered, one distorted all over."""
    scattered(mask)
    mask[0], mask[2] = 0, 1


def everything(mask):
    mask[:] = 1


MASKS = [lambda mask: None, one_pixel, corners, scattered, mixed, everything]
NAMES = ["none", "one pixel", "corners", "scattered", "mixed", "all"]


def results(model, restore, image, mask):
    """The restored pictures, and the gradient of every parameter and of the picture."""
    model.zero_grad()
    image = image.clone().requires_grad_()
    restored = restore(image, mask, model.localize(image).features)
    weight = torch.randn(image.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))  # of any type
    (restored * weight.to(image.dtype)).sum().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    return restored.detach(), gradients | {"image": image.grad}


def assert_same(one, other):
    torch.testing.assert_close(one[0], other[0], rtol=0, atol=1e-12)  # sums of some 100 doubles of order 1
    assert one[1].keys() == other[1].keys()
    for name, gradient in one[1].items():
        scale = max(1.0, float(gradient.abs().max()))
        torch.testing.assert_close(gradient / scale, other[1][name] / scale, rtol=0, atol=1e-10, msg=name)


@pytest.mark.parametrize("fill", MASKS, ids=NAMES)
def test_packed_is_dense(model, image, fill):
    mask = torch.zeros(3, 1, HEIGHT, WIDTH, dtype=torch.float64)
    fill(mask)
    dense = results(model, model.restore, image, mask)
    packed = results(model, lambda *arguments: restore_packed(model, *arguments), image, mask)
    assert_same(dense, packed)
    if fill is scattered:  # the comparison is able to fail: another mask gives something else
        assert (results(model, model.restore, image, mask.flip(3))[0] - packed[0]).abs().max() > 1e-3


@pytest.mark.parametrize("fill", MASKS, ids=NAMES)
def test_in_mixed_precision_packed_is_as_near_to_the_truth_as_dense_is(model, image, fill):
    mask = torch.zeros(3, 1, HEIGHT, WIDTH, dtype=torch.float64)
    fill(mask)
    _, truth = results(model, model.restore, image, mask)
    model, image, mask = model.float(), image.float(), mask.float()
    errors, length = [], torch.stack([gradient.norm() for gradient in truth.values()]).norm()
    for restore in (model.restore, lambda *arguments: restore_packed(model, *arguments)):
        with torch.autocast("cpu", torch.bfloat16):
            _, gradients = results(model, restore, image, mask)
        wrong = [(gradients[name].double() - right).norm() for name, right in truth.items()]
        assert all(gradient.dtype == torch.float32 for gradient in gradients.values())
        errors.append(float(torch.stack(wrong).norm() / length))
    # bfloat16 has 8 bits, the layers are some twenty, and their errors of up to 0.4 % add up at random
    assert errors[1] < max(1.5 * errors[0], 0.02)


@pytest.mark.parametrize("packed_below", [0.0, 0.2, 0.9, 1.1])
def test_every_picture_takes_the_way_that_its_density_says(model, image, monkeypatch, packed_below):
    mask = torch.zeros(3, 1, HEIGHT, WIDTH, dtype=torch.float64)
    mixed(mask)
    dense = results(model, model.restore, image, mask)
    seen = []

    def watched(model, image, *rest):
        seen.append(len(image))
        return restore_packed(model, image, *rest)

    monkeypatch.setattr("spair.training.loop.packed.restore_packed", watched)
    routed = results(model, lambda *arguments: restore_by_density(model, *arguments, packed_below), image, mask)
    assert_same(dense, routed)
    assert sum(seen) == {0.0: 0, 0.2: 1, 0.9: 2, 1.1: 3}[packed_below]


def test_the_order_of_the_pictures_stays(model, image):
    mask = torch.zeros(3, 1, HEIGHT, WIDTH, dtype=torch.float64)
    mask[0] = 1  # dense, packed, packed: regrouped inside
    routed = restore_by_density(model, image, mask, model.localize(image).features, 0.5)
    torch.testing.assert_close(routed, model.restore(image, mask, model.localize(image).features), rtol=0, atol=1e-12)


def test_rows_know_their_neighbours_and_pictures_do_not_touch():
    mask = torch.zeros(2, 1, 2, 3)
    mask[0, 0, 1, 2] = mask[1, 0, 0, 0] = mask[1, 0, 0, 1] = 1
    rows = Rows(mask)
    assert rows.index.tolist() == [5, 6, 7]
    absent = [3] * 9
    assert rows.neighbours[0].tolist() == [*absent[:4], 0, *absent[:4]]  # 6 follows 5 in memory, in another picture
    assert rows.neighbours[1].tolist() == [3, 3, 3, 3, 1, 2, 3, 3, 3]
    assert rows.neighbours[2].tolist() == [3, 3, 3, 1, 2, 3, 3, 3, 3]


def test_what_is_spread_was_picked():
    mask = torch.zeros(2, 1, 4, 6)
    mask[0, 0, 1, 2:5] = mask[1, 0, 3, 0] = 1
    x = torch.randn(2, 5, 4, 6)
    rows = Rows(mask)
    assert torch.equal(rows.spread(rows.pick(x)), x * mask)


def test_a_network_that_writes_clean_pixels_is_refused(image):
    import dataclasses

    network = SPAIR(dataclasses.replace(TINY, gate_output=False))
    with pytest.raises(ValueError, match="gate their output"):
        restore_packed(network, image.float(), torch.zeros(3, 1, HEIGHT, WIDTH), ())  # type: ignore[arg-type]

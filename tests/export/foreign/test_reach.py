"""The reach is how far pixels are seen, and networks without an end of it are found out."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from spair.export.foreign import ForeignInterface, adapt, measure_reach


class Calling(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, image):
        return self.function(image)


def measure(function, size=None, reason="", **fields):
    module = function if isinstance(function, nn.Module) else Calling(function)
    return measure_reach(adapt(module.eval(), ForeignInterface(**fields)), reason, size)


def widen(radius):
    """Average squares of 2 radius + 1 pixels."""
    side = 2 * radius + 1

    def blur(x):
        padded = F.pad(x, (radius,) * 4, mode="constant")
        return x / 2 + F.avg_pool2d(F.avg_pool2d(padded, (1, side), stride=1), (side, 1), stride=1) / 2

    return blur


def fold(x):
    """Average blocks of 8, of a grid that begins at the first pixel; pads by itself."""
    padded = F.pad(x, (0, -x.shape[3] % 8, 0, -x.shape[2] % 8), mode="replicate")
    return (x + F.interpolate(F.avg_pool2d(padded, 8), scale_factor=8.0)[..., : x.shape[2], : x.shape[3]]) / 2


def average(x):
    return x / 2 + x.mean((2, 3), keepdim=True) / 2


def place(x):
    return x / 2 + torch.linspace(0, 0.5, x.shape[2])[:, None]


@pytest.mark.parametrize("radius", [0, 2, 7])
def test_reach_is_how_far_a_change_is_seen(radius):
    convolution = nn.Conv2d(3, 3, 2 * radius + 1, padding=radius)
    nn.init.constant_(convolution.weight, 0.1 / (2 * radius + 1))
    reach = measure(convolution)
    assert (reach.halo, reach.align, reach.whole) == (radius, 1, False)
    assert reach.error <= 0.1


def test_a_wide_average_is_seen_though_no_single_pixel_is():
    assert measure(widen(40)).halo == 40  # one pixel changes such an average by 0.03 of 255 steps


@pytest.mark.parametrize("scale", [2, 3])
def test_reach_is_counted_in_pixels_of_the_input(scale):
    reach = measure(lambda x: F.interpolate(widen(5)(x), scale_factor=float(scale)))
    assert (reach.halo, reach.whole) == (5, False)


@pytest.mark.parametrize(
    "function",
    [
        average,
        lambda x: x / 2 + x.amax((2, 3), keepdim=True) / 4,
        widen(150),
        lambda x: x / 2 + x.flatten(2).softmax(2).unflatten(2, x.shape[2:]) * x.shape[2] * 4,
        place,
    ],
    ids=["mean", "max", "wide", "softmax", "place"],
)
def test_a_network_that_sees_everything_is_found_out_with_its_error(function):
    reach = measure(function)
    assert reach.whole and reach.error > 0.3 and reach.halo <= 64


def test_the_graph_decides_where_no_trial_shows_anything():
    reach = measure(lambda x: x, reason="its operator ReduceMean sees all")
    assert reach.whole and reach.unlimited == "its operator ReduceMean sees all" and reach.error == 0


@pytest.mark.parametrize(("multiple", "align"), [(1, 8), (2, 4), (8, 1)])
def test_tiles_begin_on_the_grid_inside_of_a_network(multiple, align):
    reach = measure(fold, multiple=multiple)
    assert (reach.align, reach.whole) == (align, False) and reach.halo <= 8


@pytest.mark.parametrize(("multiple", "min_size"), [(256, 1), (1, 300), (200, 1)])
def test_reach_is_measured_on_pictures_large_enough(multiple, min_size):
    seen = []

    def look(image):
        seen.append(image.shape[2:])
        return image

    assert measure(look, multiple=multiple, min_size=min_size).halo == 0
    assert all(side >= min_size and side % multiple == 0 for size in seen for side in size)


def test_a_network_of_squares_gets_squares():
    def square(image):
        assert image.shape[2] == image.shape[3]
        return widen(3)(image)

    assert measure(square).halo == 3


@pytest.mark.parametrize(
    ("function", "halo", "align", "whole"),
    [
        (widen(3), 3, 1, False),
        (fold, 8, 8, False),
        (average, 16, 1, True),
        (place, 16, 1, True),
    ],
    ids=["local", "grid", "mean", "place"],
)
def test_the_reach_within_a_fixed_size_is_seen_when_pieces_move(function, halo, align, whole):
    def fixed(image):
        assert image.shape[2:] == (64, 96)
        return function(image)

    reach = measure(fixed, (64, 96), sizes=((64, 96),))
    assert (reach.align, reach.whole) == (align, whole) and reach.halo <= halo
    assert (reach.error > 0.3) == whole

"""Trials find out what a module takes, and say how to describe it."""

import pytest
import torch
from torch import nn

from spair.export.foreign import ForeignInterface, adapt, foreign_spec
from spair.runtime import UserError


class Calling(nn.Module):
    """Calls a function on its inputs."""

    def __init__(self, function, **modules):
        super().__init__()
        self.function = function
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, image, *others):
        return self.function(image, *others)


def refuse(message, module, interface=None):
    with pytest.raises(UserError, match=message) as caught:
        adapt(module, interface or ForeignInterface())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("given", "hint"), [(1, "4 is enough"), (2, "4 is enough"), (3, "6 is enough")])
def test_a_network_that_fails_on_the_smallest_picture_is_told_of_min_size(given, hint):
    padded = nn.Conv2d(3, 3, 7, padding=3, padding_mode="reflect")
    message = rf"Conv2d fails on pictures of {given}x{given}: .*--min-size \({hint}\)"
    refuse(message, padded, ForeignInterface(min_size=given))
    assert foreign_spec(adapt(padded, ForeignInterface(min_size=4))).min_size == 4


def test_an_error_of_a_forward_is_one_sentence():
    def fail(image):
        assert image.shape[2] % 32 == 0, "give me multiples of 32"
        return image

    refuse("give me multiples of 32; .*--multiple", Calling(fail))
    assert adapt(Calling(fail), ForeignInterface(multiple=32)).scale == 1


@pytest.mark.parametrize("multiple", [1, 8, 100, 256])
def test_samples_are_multiples_and_differ_in_height_and_width(multiple):
    spec = foreign_spec(adapt(nn.Identity(), ForeignInterface(multiple=multiple)))
    height, width = spec.inputs["image"][0].shape[2:]
    assert height % multiple == width % multiple == 0
    assert multiple < height < width <= max(9, 3 * multiple, 72)


@pytest.mark.parametrize(
    ("channels", "hint"),
    [(1, "give --input image:1"), (4, "4 channels, which no picture has"), (6, "6 channels, which no picture has")],
)
def test_a_network_of_other_channels_is_told_apart(channels, hint):
    refuse(hint, nn.Conv2d(channels, 3, 3, padding=1))


@pytest.mark.parametrize(
    ("form", "use"),
    [
        ("Nx1x1x1", lambda image, level: torch.cat((image, level.repeat(1, 1, *image.shape[2:])), 1)[:, :3] * level),
        ("plane", lambda image, level: torch.cat((image, level), 1)[:, :3] * level),
        ("Nx1", lambda image, level: image * level[:, :, None, None] if level.ndim == 2 else fail()),
        ("N", lambda image, level: image * level[:, None, None, None] if level.ndim == 1 else fail()),
        ("number", lambda image, level: image * (level if isinstance(level, float) else fail())),
    ],
)
def test_a_constant_input_gets_the_form_that_the_network_takes(form, use):
    adaptation = adapt(Calling(use), ForeignInterface(sides=(("level", 0.5),)))
    assert adaptation.notes[0] == f"level is 0.5 in the form {form}"
    image = torch.rand(2, 3, 8, 9)
    assert torch.equal(adaptation.module(image)[0], image * 0.5)


def fail():
    raise ValueError("another form")


def test_a_parameter_of_that_name_is_passed_by_name():
    class Named(nn.Module):
        def forward(self, image, *, gain=None, noise=None):
            return image * noise

    adaptation = adapt(Named(), ForeignInterface(sides=(("noise", 0.25),)))
    assert torch.equal(adaptation.module(torch.ones(1, 3, 8, 8))[0], torch.full((1, 3, 8, 8), 0.25))


def test_a_network_of_squares_is_found_out():
    def fold(image):
        side = int(image[0, 0].numel() ** 0.5)
        return image.flatten(2).unflatten(2, (side, side))

    adaptation = adapt(Calling(fold), ForeignInterface(multiple=4))
    spec = foreign_spec(adaptation)
    height, width = spec.inputs["image"][0].shape[2:]
    assert adaptation.square and spec.square and spec.any_size and height == width
    assert "squares" in " ".join(adaptation.notes)


def test_a_network_that_changes_its_input_does_not_reach_the_picture():
    image = torch.rand(1, 3, 8, 8)
    before = image.clone()
    restored = adapt(Calling(lambda picture: picture.mul_(0.5)), ForeignInterface()).module(image)[0]
    assert torch.equal(image, before) and torch.equal(restored, before * 0.5)

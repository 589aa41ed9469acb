"""The range of an output is measured, and what is no range of pictures is refused."""

import pytest
import torch
from torch import nn

from spair.export.foreign import ForeignInterface
from spair.export.foreign.adapter import Adapted
from spair.export.foreign.ranges import find_range
from spair.runtime import UserError


class Last(nn.Module):
    """Ends with a function, after a convolution or after nothing."""

    def __init__(self, function, mixed):
        super().__init__()
        self.function = function
        torch.manual_seed(0)
        self.body = nn.Conv2d(3, 3, 3, padding=1, bias=False) if mixed else nn.Identity()

    def forward(self, image):
        return self.function(self.body(image))


def find(function, mixed=False, **fields):
    adapted = Adapted(Last(function, mixed))
    adapted.chosen = (0,)
    to_unit, notes = find_range(adapted, ForeignInterface(**fields), (16, 24))
    return to_unit, notes, adapted


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x, (1.0, 0.0)),
        (lambda x: x.clamp(0, 1), (1.0, 0.0)),
        (lambda x: 255 * x, (1 / 255, 0.0)),
        (lambda x: 2 * x - 1, (0.5, 0.5)),
        (lambda x: torch.tanh(4 * x - 2) if x.min() >= 0 else torch.tanh(3 * x), (0.5, 0.5)),
        (lambda x: (255 * x.clamp(0, 1)).to(torch.uint8), (1 / 255, 0.0)),
    ],
)
def test_a_range_is_found_for_networks_that_keep_the_picture_and_for_others(function, expected, mixed):
    to_unit, notes, _ = find(function, mixed)
    assert to_unit == expected
    assert bool(notes) == (expected != (1.0, 0.0))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: 1e5 * x, r"values from .* to .*e\+0., *|--output-range 0..1, -1..1 or 0..255"),
        (lambda x: x - 2000, "--output-range"),
        (lambda x: (1000 * x).to(torch.int32), "--output-range"),
        (lambda x: x / 0, "not finite for pictures of 0..1"),
    ],
)
def test_values_of_no_range_are_refused(function, message):
    with pytest.raises(UserError, match=message):
        find(function)


def test_a_range_that_is_given_is_not_measured():
    to_unit, notes, _ = find(lambda x: 1e5 * x, output_range="-1..1")
    assert to_unit == (0.5, 0.5) and notes == ("its output is taken to lie in -1..1",)

"""Adaptive pooling to several cells is named."""

import pytest
from torch import nn

from spair.export.foreign import ForeignInterface, adapt
from spair.export.foreign.fixed import find_fixed_pooling


class Pooling(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, image):
        return image + self.layer(image).mean((2, 3), keepdim=True)


@pytest.mark.parametrize(
    ("layer", "found"),
    [
        (nn.AdaptiveAvgPool2d(2), "adaptive_avg_pool2d to 2"),
        (nn.AdaptiveMaxPool2d((3, 1)), "adaptive_max_pool2d to 3x1"),
        (nn.AdaptiveAvgPool2d(1), ""),
        (nn.AvgPool2d(2), ""),
    ],
    ids=str,
)
def test_pooling_to_a_fixed_number_of_cells_is_found(layer, found):
    assert find_fixed_pooling(adapt(Pooling(layer), ForeignInterface(min_size=4))) == found

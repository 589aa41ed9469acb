"""More of a picture is wet, the larger the part is."""

import numpy as np
import pytest

from benchmarks.gpu.harness.pictures import draw_rain


@pytest.mark.parametrize(("width", "height"), [(160, 128), (33, 17), (1, 1)])
def test_more_of_the_picture_is_wet_the_larger_the_part(width, height):
    dry, half, wet = (draw_rain(width, height, part) for part in (0.0, 0.5, 1.0))
    assert dry.shape == (height, width, 3) and dry.dtype == np.uint8
    changed = [int((picture != dry).any(axis=2).sum()) for picture in (half, wet)]
    assert 0 <= changed[0] <= changed[1]
    if width > 100:
        assert 0 < changed[0] < changed[1]
        np.testing.assert_array_equal(half[height // 2 :], dry[height // 2 :])

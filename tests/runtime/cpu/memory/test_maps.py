"""Maps in memory are views of the same values as planes."""

import numpy as np
import pytest

from spair.runtime.cpu.memory.maps import Map, floats_of, interleave


@pytest.mark.parametrize("border", [0, 1, 2])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 2)])
def test_planes_of_a_map_are_its_pixels(size, border):
    buffer = np.arange(floats_of(*size, 8, border), dtype=np.float32)
    view = Map.inside(buffer, *size, 6, 8, border).as_planes()
    whole = buffer.reshape(size[0] + 2 * border, size[1] + 2 * border, 8)
    inner = whole[border : border + size[0], border : border + size[1], :6]
    np.testing.assert_array_equal(view, np.moveaxis(inner, -1, 0))
    assert np.shares_memory(view, buffer)


def test_the_layout_of_a_part_is_read_from_its_view():
    buffer = np.arange(floats_of(9, 7, 8, 1), dtype=np.float32)
    whole = Map.inside(buffer, 9, 7, 8, 8, 1)
    part = Map.of_planes(whole.as_planes()[:, 2:6, 3:5])
    assert (part.height, part.width, part.channels, part.line, part.stride) == (4, 2, 8, whole.line, 8)
    assert part.first == whole.first + 4 * (2 * whole.line + 3 * 8)


@pytest.mark.parametrize("planes", [np.zeros((3, 4, 5), np.float32), np.zeros((4, 5, 3)).transpose(2, 0, 1)])
def test_other_layouts_are_refused(planes):
    with pytest.raises(ValueError, match="expected float32 with channels side by side"):
        Map.of_planes(planes)


def test_planes_are_copied_into_a_map():
    planes = np.random.default_rng(0).random((5, 3, 4)).astype(np.float32)
    view = interleave(planes, 8)
    np.testing.assert_array_equal(view, planes)
    assert Map.of_planes(view).stride == 8

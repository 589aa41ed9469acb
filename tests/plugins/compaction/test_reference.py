"""The definition of mask compaction against the flat indices of a mask."""

import numpy as np
import pytest

from spair.plugins.compaction.reference import compact_mask, list_taps, sparse_index


@pytest.mark.parametrize("size", [(1, 1), (1, 17), (5, 3), (0, 4)], ids=str)
@pytest.mark.parametrize("density", [0.0, 0.4, 1.0])
def test_lists_are_the_indices_of_active_pixels_in_ascending_order(size, density):
    mask = (np.random.default_rng(0).random((3, 1, *size)) < density).astype(np.float32)
    assert compact_mask(mask) == [np.flatnonzero(image).tolist() for image in mask]


def test_a_pixel_is_its_row_times_the_width_plus_its_column():
    mask = np.zeros((2, 1, 3, 7), np.float32)
    mask[0, 0, 2, 5] = mask[1, 0, 0, 6] = mask[1, 0, 1, 0] = 1
    assert compact_mask(mask) == [[19], [6, 7]]


def test_any_value_but_zero_is_active():
    mask = np.float32([[[[0.0, -0.0, 1.0, -2.0, 1e-38, np.nan]]]])
    assert compact_mask(mask) == [[2, 3, 4, 5]]


def test_no_image_gives_no_list():
    assert compact_mask(np.zeros((0, 1, 2, 2), np.float32)) == []


def low_bits(words: list[list[int]]) -> list[list[int]]:
    """The bits of taps under the mask."""
    return [[word % 512 for word in row] for row in words]


def test_taps_are_bits_from_the_upper_left_to_the_lower_right():
    mask = np.zeros((1, 1, 4, 5), np.float32)
    mask[0, 0, 1, 1] = mask[0, 0, 1, 2] = mask[0, 0, 3, 3] = 1
    assert low_bits(list_taps(mask, 3)) == [[0b000_110_000, 0b000_011_000, 0b000_010_000]]
    assert list_taps(mask, 1) == [[1, 1, 1]]
    assert low_bits(list_taps(mask, 3, 2)) == [[0b100_010_000, 0b000_010_000, 0b000_010_001]]


def test_clean_taps_are_bits_where_they_may_be_read():
    mask = np.zeros((2, 1, 3, 3), np.float32)
    mask[0, 0, 0, 0] = mask[0, 0, 1, 1] = 1
    assert low_bits(list_taps(mask, 3, clean_input=True)) == [[0b110_110_000, 0b111_111_111], []]
    assert list_taps(mask, 5, clean_input=True)[0][0] == 0b11100_11100_11100_00000_00000


def test_the_next_bits_of_a_3x3_window_are_its_taps_inside_the_picture():
    mask = np.zeros((1, 1, 4, 5), np.float32)
    mask[0, 0, 0, 0] = mask[0, 0, 1, 2] = mask[0, 0, 3, 4] = 1
    high = [word >> 9 for word in list_taps(mask, 3)[0]]
    assert high == [0b110_110_000, 0b111_111_111, 0b000_011_011]
    assert high == low_bits(list_taps(mask, 3, clean_input=True))[0]
    assert list_taps(mask, 5)[0][0] < 1 << 25


def test_an_index_holds_pixels_words_and_their_number():
    mask = (np.random.default_rng(1).random((2, 1, 5, 6)) < 0.4).astype(np.float32)
    mask[1] = 0
    index, taps, count = sparse_index(mask)
    assert index.shape == taps.shape == mask.shape and index.dtype == taps.dtype == count.dtype == np.int32
    assert count.tolist() == [np.count_nonzero(mask[0]), 0]
    assert index[0].ravel()[: count[0]].tolist() == compact_mask(mask)[0]
    assert taps[0].ravel()[: count[0]].tolist() == list_taps(mask, 3)[0]

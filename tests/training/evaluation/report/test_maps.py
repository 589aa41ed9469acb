"""Colours of errors and masks at full size."""

import numpy as np

from spair.training.evaluation.report.maps import (
    ERROR_TOP,
    colour_errors,
    colour_masks,
    draw_mask_parts,
    draw_parts,
    error_levels,
)


def test_an_error_is_the_largest_channels_in_levels():
    target = np.full((1, 2, 3), 0.5, np.float32)
    image = target + np.array([[[0.1, -0.2, 0], [0, 0, 0]]], np.float32)
    np.testing.assert_array_equal(error_levels(image, target), [[51, 0]])


def test_error_colours_get_lighter_up_to_the_top_of_the_scale_and_stay():
    colours = colour_errors(np.arange(256, dtype=np.uint8)[None])[0].astype(int)
    light = colours @ [299, 587, 114]
    assert (np.diff(light[: ERROR_TOP + 1]) > 0).all()
    assert (colours[ERROR_TOP:] == colours[ERROR_TOP]).all()
    assert tuple(colours[0]) == (0, 0, 4)


def test_hits_false_alarms_misses_and_the_rest_have_four_colours():
    predicted, truth = np.array([[1, 1, 0, 0]], bool), np.array([[1, 0, 1, 0]], bool)
    hit, false, missed, rest = map(tuple, colour_masks(predicted, truth)[0].tolist())
    assert hit == (255, 255, 255) and len({hit, false, missed, rest}) == 4
    alone = colour_masks(None, truth)[0].tolist()
    assert [tuple(one) for one in alone] == [hit, rest, hit, rest]


def test_parts_have_the_full_size(measure_picture):
    parts = draw_parts(measure_picture(9, 700))
    assert set(parts) == {"restored", "error", "mask"}
    assert all(one.shape == (9, 700, 3) and one.dtype == np.uint8 for one in parts.values())


def test_the_part_of_masks_shows_what_was_found(locate_picture):
    located = locate_picture(25, 26)
    np.testing.assert_array_equal(draw_mask_parts(located)["mask"], colour_masks(located.predicted, located.truth))

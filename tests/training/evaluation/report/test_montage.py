"""Montages show each picture, all restorations, and fit any size."""

import numpy as np
import pytest

from spair.training.evaluation.protocols import PROTOCOLS
from spair.training.evaluation.report.maps import colour_errors, colour_masks, error_levels
from spair.training.evaluation.report.montage import (
    NARROWEST,
    WIDEST,
    draw_mask_montage,
    draw_montage,
    make_column,
    make_mask_column,
)


def draw(measured, task, *models):
    """Draw a montage in which all models restored alike."""
    column = make_column(measured, PROTOCOLS[task])
    return draw_montage(measured, PROTOCOLS[task], [(model, column) for model in models])


def find(sheet, part):
    """Whether `part` lies somewhere in `sheet`, pixel for pixel."""
    height, width = part.shape[:2]
    corners = np.argwhere((sheet[: -height + 1 or None, : -width + 1 or None] == part[0, 0]).all(2))
    return any((sheet[y : y + height, x : x + width] == part).all() for y, x in corners)


def test_a_montage_shows_each_picture_as_it_is(measure_picture):
    measured = measure_picture(250, 260)
    sheet = draw(measured, "rain", "net")
    for picture in (measured.image, measured.restored, measured.target):
        assert find(sheet, np.rint(picture * 255).astype(np.uint8))
    for picture in (measured.image, measured.restored):
        assert find(sheet, colour_errors(error_levels(picture, measured.target)))
    assert find(sheet, colour_masks(measured.predicted, measured.truth))


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1), (3, 5), (40, 1300), (900, 20)], ids=str)
@pytest.mark.parametrize("task", PROTOCOLS)
def test_any_size_and_task_is_drawn_within_bounds(measure_picture, size, task):
    sheet = draw(measure_picture(*size, task), task, "net")
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    assert sheet.shape[1] <= 3 * (WIDEST + 40) and sheet.shape[0] <= 2 * (WIDEST + 60) + 100


def test_very_small_pictures_are_enlarged_pixel_by_pixel(measure_picture):
    measured = measure_picture(2, 3)
    factor = NARROWEST // 3
    enlarged = np.rint(measured.target * 255).astype(np.uint8).repeat(factor, 0).repeat(factor, 1)
    assert find(draw(measured, "rain", "net"), enlarged)


def test_names_beyond_the_font_and_beyond_the_cell_do_not_fail(measure_picture):
    long = measure_picture(name="日本" * 200)
    assert draw(long, "blur", "ü" * 300).shape == draw(measure_picture(), "blur", "n").shape


def test_without_a_predicted_mask_the_true_one_is_shown(measure_picture):
    measured = measure_picture(250, 260, predicted=False)
    assert find(draw(measured, "rain", "net"), colour_masks(None, measured.truth))


def test_a_montage_of_masks_shows_the_photograph_and_what_was_found(locate_picture):
    located = locate_picture(250, 260)
    sheet = draw_mask_montage(located, [("net", make_mask_column(located))])
    assert find(sheet, np.rint(located.image * 255).astype(np.uint8))
    assert find(sheet, colour_masks(located.predicted, located.truth))


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1), (40, 1300), (900, 20)], ids=str)
def test_masks_of_any_size_are_drawn_within_bounds(locate_picture, size):
    located = locate_picture(*size, name="日本" * 200)
    sheet = draw_mask_montage(located, [("n" * 300, make_mask_column(located))])
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    assert sheet.shape[1] <= 2 * (WIDEST + 40) and sheet.shape[0] <= WIDEST + 160


def test_every_model_has_a_column_under_its_name(measure_picture):
    measured = measure_picture(250, 260)
    theirs = measured._replace(restored=measured.target * np.float32(0.5))
    columns = [("ours", make_column(measured, PROTOCOLS["rain"])), ("theirs", make_column(theirs, PROTOCOLS["rain"]))]
    alone, both = (draw_montage(measured, PROTOCOLS["rain"], columns[:count]) for count in (1, 2))
    cell = (alone.shape[1] - 14) // 3
    assert both.shape == (alone.shape[0], alone.shape[1] + cell, 3)
    for one in (measured, theirs):
        assert find(both, np.rint(one.restored * 255).astype(np.uint8))
        assert find(both, colour_errors(error_levels(one.restored, measured.target)))
    assert not find(alone, np.rint(theirs.restored * 255).astype(np.uint8))


def test_every_model_has_a_found_mask(locate_picture):
    located = locate_picture(250, 260)
    theirs = located._replace(predicted=~located.predicted)
    models = [("ours", make_mask_column(located)), ("theirs", make_mask_column(theirs))]
    sheet = draw_mask_montage(located, models)
    for one in (located, theirs):
        assert find(sheet, colour_masks(one.predicted, located.truth))

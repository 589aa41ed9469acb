import numpy as np
import pytest

from spair.training.comparison import Example, Setting, compare
from spair.training.figures import (
    ERROR_TOP,
    SMALLEST,
    WIDEST,
    colour_errors,
    colour_masks,
    draw_mask_montage,
    draw_mask_parts,
    draw_montage,
    draw_parts,
    error_levels,
)
from spair.training.mask_evaluation import Located, MaskCounts
from spair.training.protocols import PROTOCOLS


def measure(height=20, width=30, task="rain", predicted=True, name="7"):
    random = np.random.default_rng(4)
    target = random.random((height, width, 3)).astype(np.float32)
    image = np.clip(target + random.normal(0, 0.1, target.shape), 0, 1).astype(np.float32)
    mask = random.random((height, width)) < 0.3 if predicted else None
    return compare(Example(name, image, target, (image + target) / 2, mask, None), Setting(PROTOCOLS[task]))


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


def find(sheet, part):
    """Whether `part` lies somewhere in `sheet`, pixel for pixel."""
    height, width = part.shape[:2]
    corners = np.argwhere((sheet[: -height + 1 or None, : -width + 1 or None] == part[0, 0]).all(2))
    return any((sheet[y : y + height, x : x + width] == part).all() for y, x in corners)


def test_a_montage_shows_each_picture_as_it_is():
    measured = measure(250, 260)
    sheet = draw_montage(measured, PROTOCOLS["rain"], "net")
    for picture in (measured.image, measured.restored, measured.target):
        assert find(sheet, np.rint(picture * 255).astype(np.uint8))
    for picture in (measured.image, measured.restored):
        assert find(sheet, colour_errors(error_levels(picture, measured.target)))
    assert find(sheet, colour_masks(measured.predicted, measured.truth))


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1), (3, 5), (40, 1300), (900, 20)], ids=str)
@pytest.mark.parametrize("task", PROTOCOLS)
def test_any_size_and_task_is_drawn_within_bounds(size, task):
    sheet = draw_montage(measure(*size, task), PROTOCOLS[task], "net")
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    assert sheet.shape[1] <= 3 * (WIDEST + 40) and sheet.shape[0] <= 2 * (WIDEST + 60) + 100


def test_very_small_pictures_are_enlarged_pixel_by_pixel():
    measured = measure(2, 3)
    factor = SMALLEST // 3
    enlarged = np.rint(measured.target * 255).astype(np.uint8).repeat(factor, 0).repeat(factor, 1)
    assert find(draw_montage(measured, PROTOCOLS["rain"], "net"), enlarged)


def test_names_beyond_the_font_and_beyond_the_cell_do_not_fail():
    long = measure(name="日本" * 200)
    assert (
        draw_montage(long, PROTOCOLS["blur"], "ü" * 300).shape == draw_montage(measure(), PROTOCOLS["blur"], "n").shape
    )


def test_without_a_predicted_mask_the_true_one_is_shown():
    measured = measure(250, 260, predicted=False)
    assert find(draw_montage(measured, PROTOCOLS["rain"], "net"), colour_masks(None, measured.truth))


def test_parts_have_the_full_size():
    parts = draw_parts(measure(9, 700))
    assert set(parts) == {"restored", "error", "mask"}
    assert all(one.shape == (9, 700, 3) and one.dtype == np.uint8 for one in parts.values())


def locate(height, width, name="7"):
    random = np.random.default_rng(5)
    image, (predicted, truth) = random.random((height, width, 3)), random.random((2, height, width)) < 0.3
    counts = MaskCounts.of(predicted, truth)
    row = {"name": name, "width": width, "height": height, "mask": counts.measures(), **counts.densities()}
    return Located(row, image.astype(np.float32), predicted, truth)


def test_a_montage_of_masks_shows_the_photograph_and_what_was_found():
    located = locate(250, 260)
    sheet = draw_mask_montage(located, "net")
    assert find(sheet, np.rint(located.image * 255).astype(np.uint8))
    assert find(sheet, colour_masks(located.predicted, located.truth))
    np.testing.assert_array_equal(draw_mask_parts(located)["mask"], colour_masks(located.predicted, located.truth))


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1), (40, 1300), (900, 20)], ids=str)
def test_masks_of_any_size_are_drawn_within_bounds(size):
    sheet = draw_mask_montage(locate(*size, name="日本" * 200), "n" * 300)
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    assert sheet.shape[1] <= 2 * (WIDEST + 40) and sheet.shape[0] <= WIDEST + 160

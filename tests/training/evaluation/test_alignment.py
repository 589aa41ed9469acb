import numpy as np
import pytest

from spair.runtime.errors import UserError
from spair.training.evaluation.alignment import align, crop_border, largest_shift, move_mask, resize, resize_mask


@pytest.fixture
def smooth():
    """A picture that is not linear anywhere, [40, 50, 3]."""
    rows, columns = np.mgrid[:40, :50] / 6
    return np.stack([np.sin(rows) * np.cos(columns), np.sin(rows + columns), np.cos(rows)], 2) * 0.4 + 0.5


def moved(picture, down, right):
    """Move a scene `down` and `right`.

    Values between pixels are linear, so a search can undo the move.
    """
    for axis, offset in ((0, down), (1, right)):
        whole = int(np.floor(offset))
        first, second = (np.roll(picture, whole + more, axis) for more in (0, 1))
        picture = (1 - (offset - whole)) * first + (offset - whole) * second
    return picture


@pytest.mark.parametrize("shift", [(0, 0), (4, -4), (-1, 3), (0.25, 0), (-2.75, 1.5)], ids=str)
def test_the_shift_is_found_to_a_quarter_pixel(smooth, shift):
    image = moved(smooth, *shift).astype(np.float32)
    aligned = align(image, smooth, 12)
    assert aligned.shift == shift
    assert aligned.image.dtype == np.float32
    exact = all(float(offset).is_integer() for offset in shift)
    np.testing.assert_allclose(aligned.image, smooth[12:-12, 12:-12], atol=1e-6 if exact else 0.02)


def test_no_shift_beyond_a_third_of_the_crop_is_tried(smooth):
    assert largest_shift(15) == 5
    down, right = align(moved(smooth, 6, 0), smooth, 12).shift
    assert max(abs(down), abs(right)) <= 4


@pytest.mark.parametrize("crop", [1, 2, 3])
def test_small_crops_try_few_shifts(smooth, crop):
    aligned = align(smooth, smooth, crop)
    assert aligned.shift == (0, 0)
    np.testing.assert_array_equal(aligned.image, smooth[crop:-crop, crop:-crop])


def test_a_mask_goes_with_its_picture(smooth):
    mask = np.zeros((40, 50), bool)
    mask[20, 25] = True
    np.testing.assert_array_equal(move_mask(np.roll(mask, (3, -2), (0, 1)), (3.0, -2.0), 12), mask[12:-12, 12:-12])
    assert move_mask(mask, (0.25, -0.25), 12)[8, 13] and move_mask(mask, (0.25, -0.25), 12).sum() == 1


def test_cropping_leaves_a_pixel_or_is_refused():
    assert crop_border(np.zeros((9, 11, 3)), 4).shape == (1, 3, 3)
    assert crop_border(np.zeros((9, 11)), 0).shape == (9, 11)
    with pytest.raises(UserError, match="a picture of 11x9 is too small for a shift of 5, which crops 5 pixels"):
        crop_border(np.zeros((9, 11, 3)), 5)


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (16, 16), (31, 40)])
def test_resizing_keeps_flat_pictures_and_the_8_bit_grid(size):
    flat = np.full((*size, 3), 100 / 255, np.float32)
    np.testing.assert_allclose(resize(flat, 16), np.full((16, 16, 3), 100 / 255), atol=1e-6)
    noise = resize(np.random.default_rng(0).random((*size, 3)).astype(np.float32), 16) * 255
    np.testing.assert_allclose(noise, np.rint(noise), atol=1e-3)


def test_resizing_is_the_bicubic_kernel_of_matlab_stretched_when_shrinking():
    edge = np.zeros((8, 8, 3), np.float32)
    edge[:, 4:] = 1
    # Keys' kernel of a = -0.5 at the distances of eight pixels to the middle of one of half their number; sums to 2.
    near, next_to, far, farthest = 0.8671875, 0.2265625, -0.0703125, -0.0234375
    over = 255 * (next_to + far + farthest) / (2 * (near + next_to + far + farthest))
    np.testing.assert_allclose(resize(edge, 4)[0, :, 0] * 255, [0, over, 255 - over, 255], atol=1)


def test_a_resized_mask_holds_whatever_was_touched():
    mask = np.zeros((16, 16), bool)
    assert not resize_mask(mask, 4).any() and resize_mask(~mask, 4).all()
    mask[5, 5] = True
    assert resize_mask(mask, 4)[1, 1] and not resize_mask(mask, 4)[3, 3]
    np.testing.assert_array_equal(resize_mask(mask, 16), mask)

"""One picture compared with its target."""

import numpy as np
import pytest

from spair.runtime.errors import UserError
from spair.training.evaluation.comparison import Example, MeasureSetting, compare
from spair.training.evaluation.protocols import PROTOCOLS


@pytest.fixture
def example():
    """A picture whose bright block lies too low.

    It lies two pixels lower than in the target; the mask found is the block.
    """
    target = np.random.default_rng(0).random((30, 40, 3)).astype(np.float32) * 0.5
    mask = np.zeros((30, 40), bool)
    mask[12:18, 15:20] = True
    image = np.where(mask[..., None], target + np.float32(0.3), target)
    image, mask = np.roll(image, 2, 0), np.roll(mask, 2, 0)
    return Example("block", image, target, np.roll(target, 2, 0), mask, None)


def test_masks_lie_where_the_aligned_picture_lies(example):
    measured = compare(example, MeasureSetting(PROTOCOLS["blur"], shift=6))
    assert measured.row["shift"] == measured.row["input"]["shift"] == [2, 0]
    assert measured.truth.shape == measured.predicted.shape == (18, 28)
    np.testing.assert_array_equal(measured.predicted, measured.truth)
    assert measured.row["mask"] == {"precision": 1, "recall": 1, "iou": 1}
    assert measured.row["density"] == measured.row["true_density"] == pytest.approx(30 / (18 * 28))


def test_a_mask_file_is_cropped_and_moved_too(example):
    measured = compare(example._replace(mask=example.predicted), MeasureSetting(PROTOCOLS["blur"], shift=6))
    assert measured.row["mask_source"] == "files" and measured.row["mask"]["iou"] == 1


def test_everything_compared_has_the_size_asked_for(example):
    measured = compare(example, MeasureSetting(PROTOCOLS["shadow"], resize=16))
    for picture in (measured.image, measured.restored, measured.target):
        assert picture.shape == (16, 16, 3)
    assert measured.truth.shape == measured.predicted.shape == (16, 16)
    assert measured.lab["input"]["all"].pixels == 256
    assert (measured.row["width"], measured.row["height"]) == (40, 30)


def test_the_output_alone_is_quantized(example):
    faded = example._replace(restored=example.image + np.float32(0.7 / 255))
    cut = compare(faded, MeasureSetting(PROTOCOLS["rain"], "floor"))
    np.testing.assert_array_equal(cut.image, example.image)
    assert np.abs(cut.restored * 255 - np.rint(cut.restored * 255)).max() < 1e-4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resize": 0}, "cannot resize pictures to 0 pixels: give 1 or more"),
        ({"shift": -1}, "cannot crop -1 pixels for a shift: give 0 or more"),
        ({"quantize": "ceil"}, "unknown quantize mode 'ceil'"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        MeasureSetting(PROTOCOLS["rain"], **options)

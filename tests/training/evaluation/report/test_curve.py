"""The chart shows a point for each threshold, the model's own in orange."""

import numpy as np
import pytest

from spair.training.evaluation.report.curve import SIZE, draw_thresholds

LINE, OWN = (66, 133, 220), (242, 142, 43)


def make(*points, own=0, processor=True):
    return [
        {"threshold": 0.1 * place, "own": place == own, "ms": ms, "processor_ms": ms if processor else None,
         "psnr_y": db, "density": 0.2}
        for place, (ms, db) in enumerate(points, 1)
    ]  # fmt: skip


def find(sheet, colour):
    rows, columns = np.nonzero((sheet == colour).all(axis=2))
    return rows, columns


@pytest.mark.parametrize("processor", [True, False])
def test_more_time_lies_to_the_right_and_more_quality_above(processor):
    points = ((10.0, 30.0), (20.0, 31.0), (30.0, 30.5))
    places = []
    for own in (1, 2, 3):
        sheet = draw_thresholds(make(*points, own=own, processor=processor), "psnr_y")
        assert sheet.shape == (SIZE[1], SIZE[0], 3) and sheet.dtype == np.uint8
        rows, columns = find(sheet, OWN)
        places.append((rows.mean(), columns.mean()))
        assert len(rows) > 40 and len(find(sheet, LINE)[0]) > 200
    assert places[0][1] < places[1][1] < places[2][1]
    assert places[1][0] < places[2][0] < places[0][0]


@pytest.mark.parametrize("points", [((5.0, 30.0),), ((5.0, 30.0), (5.0, 30.0)), ((0.0, 0.0), (1e-3, 1e-6)),
                                    ((1e6, 99.0), (2e6, 12.0))])  # fmt: skip
def test_any_values_fit_on_the_sheet(points):
    rows, columns = find(draw_thresholds(make(*points, own=1), "psnr_y"), OWN)
    assert rows.min() > 0 and rows.max() < SIZE[1] - 1 and columns.min() > 0 and columns.max() < SIZE[0] - 1

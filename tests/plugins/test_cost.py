"""Activity of masks and sums of launches, which the costs of all operators share."""

from __future__ import annotations

import numpy as np
import pytest

from spair.plugins.cost import Activity, Launch, measure_activity, sum_launches
from tests.plugins.kernel_harness import make_mask

# Masks


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (3, 2), (5, 1), (5, 3)])
@pytest.mark.parametrize("clean_input", [False, True])
def test_activity_is_what_loops_count(kernel, dilation, clean_input):
    mask = make_mask("random", 2, 4, 6)
    counts: list[list[int]] = []
    for image in mask[:, 0]:
        under, pairs = set(), 0
        for y, x in np.argwhere(image):
            for i in range(kernel):
                for j in range(kernel):
                    row, column = y + (i - kernel // 2) * dilation, x + (j - kernel // 2) * dilation
                    if 0 <= row < 4 and 0 <= column < 6:
                        under.add((row, column))
                        pairs += bool(clean_input or image[row, column])
        counts.append([int(image.sum()), len(under), pairs])
    expected = Activity(24, *(tuple(part) for part in zip(*counts, strict=True)))
    assert measure_activity(mask, kernel, dilation, clean_input=clean_input) == expected


@pytest.mark.parametrize(("active", "neighbours"), [((3,), (2,)), ((1,), (11,)), ((1, 1), (1,))])
def test_impossible_activities_are_refused(active, neighbours):
    with pytest.raises(ValueError, match="expected"):
        Activity(10, active, neighbours, (1,))


# Sums


def test_totals_add_up():
    launches = [Launch("a", 1, 2), Launch("b", 3, 4, 5, "fp16", 6)]
    assert sum_launches(launches) == Launch("total", 4, 6, 5, "fp16", 6)
    assert sum_launches(launches).bytes == 10
    with pytest.raises(ValueError, match="products of fp16 and int8 cannot be added up"):
        sum_launches([*launches, Launch("c", products=1, kind="int8")])

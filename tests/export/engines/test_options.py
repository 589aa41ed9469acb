"""Options of a build are checked, and say the shapes of pictures."""

import dataclasses

import pytest

from spair.export.engines.options import EngineOptions
from spair.runtime import UserError


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"usual": (2000, 720)}, "the usual size 2000x720 must lie within the largest size 1920x1080"),
        ({"usual": (0, 720)}, "usual size 0x720"),
        ({"batch": 0}, "batch be at least 1, got 0"),
        ({"level": 6}, "optimization level must be 0 to 5, got 6"),
        ({"workspace": 0}, "the workspace must be at least 1 MiB, got 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(changes, words):
    with pytest.raises(UserError, match=words):
        dataclasses.replace(EngineOptions(), **changes)


def test_shapes_are_height_before_width():
    options = EngineOptions((64, 48), (96, 80), 4)
    assert options.shapes() == [[1, 1, 1, 3], [1, 48, 64, 3], [4, 80, 96, 3]]
    assert options.shapes(planes=True) == [[1, 3, 1, 1], [1, 3, 48, 64], [4, 3, 80, 96]]

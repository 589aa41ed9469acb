"""Form of results."""

from pathlib import Path

import numpy as np
import pytest

from spair.runtime import Picture, UserError
from spair.runtime.batch.saving import Saving, choose_output, list_candidates


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "bmp"}, "--format bmp is not written, expected one of png, jpeg, webp, tiff"),
        ({"quality": 0}, "out of range, expected 1 to 100"),
        ({"quality": 90, "format": "png"}, "PNG is lossless; leave it out"),
        ({"suffix": "../x"}, "separator of folders"),
        ({"range": (1.0, 1.0)}, "is empty, expected LOW:HIGH"),
        ({"range": (0.0, float("inf"))}, "is empty"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        Saving(**options)


@pytest.mark.parametrize(
    ("kind", "channels", "chosen"),
    [("uint8", 3, "a.jpg"), ("uint8", 4, "a.jpg.png"), ("uint16", 3, "a.jpg.png"), ("float32", 3, "a.jpg.tif")],
)
def test_the_next_format_that_holds_a_picture_is_taken(kind, channels, chosen):
    picture = Picture(np.zeros((2, 2, channels), kind))
    output, note = choose_output(Path("a.jpg"), picture, False)
    assert output == Path(chosen) and bool(note) == (chosen != "a.jpg")
    assert output in list_candidates(Path("a.jpg"))

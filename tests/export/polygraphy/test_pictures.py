"""Pictures for Polygraphy: rain of different sizes, in formats that it reads without us."""

from __future__ import annotations

import importlib.util
import io

import numpy as np
import pytest

from spair.export.engines.gate.pictures import make_samples
from spair.export.polygraphy.pictures import COUNT, SMALL, cut_small, format_json, format_npz, make_pictures


@pytest.mark.parametrize(
    ("largest", "shapes"),
    [
        ((1920, 1080), [(240, 320, 3), (125, 203, 3)]),
        ((200, 130), [(130, 200, 3), (125, 200, 3)]),
        ((5, 3), [(3, 5, 3), (3, 5, 3)]),
    ],
)
def test_they_fit_into_what_the_engines_take(largest, shapes):
    pictures = make_pictures(largest)
    assert [picture.shape for picture in pictures] == shapes and len(pictures) == COUNT
    assert {picture.dtype.name for picture in pictures} == {"uint8"}
    for picture, again in zip(pictures, make_pictures(largest), strict=True):
        np.testing.assert_array_equal(picture, again)


def test_they_are_those_of_the_gate_that_are_in_rain():
    rainy = {sample.name: sample.picture for sample in make_samples((320, 240)) if sample.name.endswith("in rain")}
    np.testing.assert_array_equal(make_pictures((320, 240))[0], rainy["320x240 in rain"])


@pytest.mark.parametrize("size", [(240, 320), (64, 96), (65, 97), (9, 200), (1, 1)])
def test_the_small_picture_is_where_most_pixels_are_distorted(size):
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (*size, 3)).astype(np.uint8)
    mask = np.zeros(size, bool)
    mask[-1, -1] = mask[size[0] // 2 :, size[1] // 2 :] = True
    small = cut_small(picture, mask)
    height, width = min(SMALL[1], size[0]), min(SMALL[0], size[1])
    assert small.shape == (height, width, 3)
    places = [
        (top, left)
        for top in range(size[0] - height + 1)
        for left in range(size[1] - width + 1)
        if (picture[top : top + height, left : left + width] == small).all()
    ]
    (place,) = places
    inside = mask[place[0] : place[0] + height, place[1] : place[1] + width].mean()
    assert inside >= min(1.0, 0.85 * mask.sum() / (height * width)) or inside == 1.0


def test_polygraphy_reads_the_json_as_its_own():
    if importlib.util.find_spec("polygraphy") is None:
        pytest.skip("polygraphy is not installed: pip install polygraphy")
    from polygraphy.json import from_json, to_json

    pictures = make_pictures((32, 24))
    text = format_json(pictures).decode()
    found = from_json(text)
    assert [list(entry) for entry in found] == [["image"]] * COUNT
    for entry, picture in zip(found, pictures, strict=True):
        np.testing.assert_array_equal(entry["image"], picture[None])
    assert from_json(to_json(found))[0]["image"].dtype == np.uint8


def test_arrays_of_the_npz_keep_their_order():
    pictures = [np.full((1, 1, 3), value, np.uint8) for value in range(12)]
    with np.load(io.BytesIO(format_npz(pictures))) as file:
        assert [int(file[name][0, 0, 0, 0]) for name in sorted(file.files)] == list(range(12))

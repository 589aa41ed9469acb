"""Suite that every backend passes.

A test module imports it with `from tests.runtime.contract import *` and has a fixture `subject` that gives a `Subject`.
The pictures, masks, threads and errors are the same for all; what a backend refuses stands in its list of refusals.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from spair.runtime import Restorer, UserError
from tests.runtime.engine.pictures import draw


@dataclass(frozen=True)
class Subject:
    """Backend under test, and the reference that it has to equal."""

    open: Callable[..., Restorer]
    """Function that opens the network on the backend; keyword arguments as `Restorer.open`."""
    reference: Restorer
    """The same network in FP32 on ONNX Runtime, on the CPU."""
    name: str
    """Name that `Restorer.backend` has."""
    step: float = 1.0
    """Largest difference in 255ths at a pixel that both restore; half a step is the rounding to 8 bits."""
    flipped: float = 0.0
    """Share of pixels whose mask may differ, because their probability lies at the threshold."""
    few: int = 0
    """Number of pixels whose mask may always differ, however small the picture is."""
    reach: int = 0
    """Distance in pixels from a pixel whose mask differs within which nothing is compared: it changes what the layers
    around it read."""
    refusals: Mapping[str, str] = field(default_factory=dict)
    """Options that the backend refuses, and words of the refusal."""


@pytest.fixture
def restorer(subject):
    with subject.open() as restorer:
        yield restorer


def check(subject, result, expected, picture):
    """Compare a result with the reference's."""
    assert (result.image.shape, result.image.dtype) == (picture.shape, picture.dtype)
    assert result.mask.dtype == bool and result.mask.shape == picture.shape[:2]
    other = result.mask != expected.mask
    assert other.sum() <= max(subject.few, subject.flipped * other.size)
    assert result.density == pytest.approx(result.mask.mean())
    same = ~widen(other, subject.reach)
    most = 1.0 if picture.dtype == np.float32 else np.iinfo(picture.dtype).max
    difference = np.abs(result.image.astype(np.float64) - expected.image.astype(np.float64))[same] * 255 / most
    assert difference.max(initial=0.0) <= subject.step
    np.testing.assert_array_equal(result.image[~result.mask], picture[~result.mask])


def widen(mask, reach):
    """Add the square of pixels around each True one."""
    if not mask.any():
        return mask
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(mask, reach), (2 * reach + 1, 2 * reach + 1))
    return windows.any(axis=(2, 3))


@pytest.mark.parametrize("size", [(1, 1), (1, 64), (64, 1), (7, 9), (37, 53), (48, 64), (100, 75), (20, 700)])
def test_pictures_of_any_size(subject, restorer, size):
    for seed in range(3):
        picture = draw(*size, seed=seed)
        check(subject, restorer(picture), subject.reference(picture), picture)
    assert restorer.backend == subject.name


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_pictures_of_any_kind(subject, restorer, dtype, channels):
    picture = draw(26, 35, dtype=dtype)
    picture = picture[..., 0] if channels is None else np.dstack([picture, picture])[..., :channels]
    check(subject, restorer(picture), subject.reference(picture), picture)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 1.0])
def test_given_masks(subject, restorer, share):
    picture, mask = draw(30, 41), np.random.default_rng(5).random((30, 41)) < share
    result = restorer(picture, mask=mask)
    check(subject, result, subject.reference(picture, mask=mask), picture)
    np.testing.assert_array_equal(result.mask, mask)


def test_a_clean_picture_comes_back_as_it_is(restorer):
    picture = np.full((40, 30, 3), 90, np.uint8)
    result = restorer(picture, mask=np.zeros((40, 30), bool))
    np.testing.assert_array_equal(result.image, picture)
    assert result.density == 0.0


def test_views_and_other_byte_orders(subject, restorer):
    picture = draw(40, 60)
    for view in (picture[::2, 5:40], picture[:, ::-1], picture[..., ::-1], np.asfortranarray(picture[:30])):
        check(subject, restorer(view), subject.reference(view), view)
    wide = draw(20, 30, dtype=np.uint16)
    np.testing.assert_array_equal(restorer(wide.astype(">u2")).image, restorer(wide).image)


def test_results_are_the_callers_own(restorer):
    given = draw(24, 32, 1)
    kept_input = given.copy()
    first = restorer(given)
    kept = first.image.copy(), first.mask.copy()
    for seed in range(4):
        restorer(draw(24, 32, seed))
    np.testing.assert_array_equal(first.image, kept[0])
    np.testing.assert_array_equal(first.mask, kept[1])
    first.image[...] = 0
    np.testing.assert_array_equal(given, kept_input)


def test_threads_share_a_restorer(subject, restorer):
    pictures = [draw(20 + 3 * seed, 32, seed) for seed in range(8)]
    expected, wrong = [subject.reference(picture) for picture in pictures], []

    def work(index: int) -> None:
        for turn in range(3):
            try:
                picture = pictures[(index + turn) % 8]
                check(subject, restorer(picture), expected[(index + turn) % 8], picture)
            except BaseException as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.zeros((4, 4, 3)), "dtype float64"),
        (np.zeros((4, 4, 5), np.uint8), "5 channels"),
        (np.zeros((0, 4, 3), np.uint8), "at least one pixel"),
        (np.zeros((2, 4, 4, 3), np.uint8), "one image at a time"),
        (np.full((4, 4, 3), np.nan, np.float32), "finite floats"),
    ],
)
def test_what_is_no_picture_is_refused(restorer, picture, words):
    with pytest.raises(UserError, match=words):
        restorer(picture)


def test_a_mask_of_another_size_is_refused(restorer):
    with pytest.raises(UserError, match="expected a numpy array of bool"):
        restorer(draw(8, 8), mask=np.ones((8, 9), bool))


@pytest.mark.parametrize("path", ["dense", "packed"])
def test_options_are_taken_or_refused_as_listed(subject, path):
    words = subject.refusals.get(f"tile_path={path}")
    if words:
        with pytest.raises(UserError, match=words):
            subject.open(tile_path=path)
    else:
        picture = draw(30, 40)
        with subject.open(tile_path=path) as restorer:
            check(subject, restorer(picture), subject.reference(picture), picture)


def test_small_tiles_change_nothing(subject):
    picture = draw(90, 130)
    with subject.open(tile=32) as restorer:
        check(subject, restorer(picture), subject.reference(picture), picture)


def test_closing_twice(subject):
    restorer = subject.open()
    restorer(draw(24, 32))
    restorer(draw(24, 32), mask=np.ones((24, 32), bool))
    restorer.close()
    restorer.close()

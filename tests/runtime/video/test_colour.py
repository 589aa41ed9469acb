"""RGB is what the standards say, and samples that nothing changed stay bit for bit."""

from fractions import Fraction

import av
import numpy as np
import pytest

from spair.runtime import UserError
from spair.runtime.video.colour import FULL, LIMITED, Colour, FrameConverter, read_colour

WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 6: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
"""Weights of red and blue in luma: BT.709, FCC, BT.601, SMPTE 240M, BT.2020 (their standards' own numbers)."""
FORMATS = [("yuv420p", 8), ("yuv422p", 8), ("yuv444p", 8), ("yuv420p10le", 10), ("yuv444p12le", 12)]
WIDTH, HEIGHT = 45, 31


def make_colour(matrix=1, range=LIMITED):
    return Colour(matrix, range, 2, 2, matrix)


def make_frame(converter, format, planes):
    frame = av.VideoFrame(WIDTH, HEIGHT, format)
    frame.pts, frame.time_base = 3, Fraction(1, 25)
    for own, values in zip(converter.planes(frame), planes, strict=True):
        own[:] = values
    return frame


def noise(converter, format, depth):
    frame = av.VideoFrame(WIDTH, HEIGHT, format)
    random = np.random.default_rng(3)
    shapes = [plane.shape for plane in converter.planes(frame)]
    return [random.integers(0, 1 << depth, shape) for shape in shapes]


@pytest.mark.parametrize("range", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize(("format", "depth"), FORMATS)
def test_rgb_is_what_the_standard_says(format, depth, matrix, range):
    """One colour fills the frame, so that no sampling counts.

    The samples are rounded to whole numbers, which moves a channel by half a step of luma and a step of a difference
    each at most; FFmpeg rounds twice more, and with more bits its limited range is off by a step of 8 bits.
    """
    red, blue = WEIGHTS[matrix]
    largest, unit = (1 << depth) - 1, 1 << (depth - 8)
    converter = FrameConverter(format, depth, make_colour(matrix, range))
    for rgb in ((0.8, 0.3, 0.2), (0.1, 0.5, 0.7), (1, 1, 1), (0, 0, 0), (0.9, 0.9, 0.2)):
        luma = red * rgb[0] + (1 - red - blue) * rgb[1] + blue * rgb[2]
        cb, cr = (rgb[2] - luma) / (2 - 2 * blue), (rgb[0] - luma) / (2 - 2 * red)
        if range == FULL:
            samples = luma * largest, cb * largest + 128 * unit, cr * largest + 128 * unit
        else:
            samples = (16 + 219 * luma) * unit, (128 + 224 * cb) * unit, (128 + 224 * cr) * unit
        planes = [min(round(value), largest) for value in samples]
        pixels = converter.to_rgb(make_frame(converter, format, planes))
        white = np.iinfo(pixels.dtype).max
        bound = (0.5 + 0.5 * 1.9 + 2) / (255 if depth == 8 else 219 * unit)
        if depth > 8 and range == LIMITED:
            bound += 1 / 255
        assert np.abs(pixels / white - np.array(rgb)).max() <= bound


def test_range_and_matrix_make_a_difference():
    """The test above could not fail if they were ignored and its bound were wide."""
    planes = [180, 90, 160]
    seen = {
        tuple(
            FrameConverter("yuv444p", 8, make_colour(matrix, range)).to_rgb(
                make_frame(FrameConverter("yuv444p", 8, make_colour()), "yuv444p", planes)
            )[5, 5]
        )
        for matrix in (1, 6, 9)
        for range in (LIMITED, FULL)
    }
    assert len(seen) == 6


@pytest.mark.parametrize("range", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize(("format", "depth"), FORMATS)
def test_without_a_change_the_decoded_frame_comes_back(format, depth, matrix, range):
    converter = FrameConverter(format, depth, make_colour(matrix, range))
    frame = make_frame(converter, format, noise(converter, format, depth))
    before = [plane.copy() for plane in converter.planes(frame)]
    pixels = converter.to_rgb(frame)
    made = converter.to_frame(frame, pixels, pixels.copy())
    assert made is frame
    assert all(np.array_equal(*pair) for pair in zip(before, converter.planes(made), strict=True))


@pytest.mark.parametrize(("format", "depth"), FORMATS)
def test_samples_outside_of_the_change_stay_bit_for_bit(format, depth):
    converter = FrameConverter(format, depth, make_colour())
    frame = make_frame(converter, format, noise(converter, format, depth))
    before = [plane.copy() for plane in converter.planes(frame)]
    pixels = converter.to_rgb(frame)
    restored = pixels.copy()
    restored[10:20, 12:30] = np.iinfo(pixels.dtype).max // 2
    made = converter.to_frame(frame, pixels, restored)
    assert (made.pts, made.time_base) == (3, Fraction(1, 25))
    for old, new in zip(before, converter.planes(made), strict=True):
        down, across = -(-HEIGHT // old.shape[0]), -(-WIDTH // old.shape[1])
        inside = np.zeros(old.shape, bool)
        inside[10 // down : -(-20 // down), 12 // across : -(-30 // across)] = True
        assert np.array_equal(old[~inside], new[~inside])
        assert (old[inside] != new[inside]).mean() > 0.8


@pytest.mark.parametrize("range", [LIMITED, FULL])
@pytest.mark.parametrize(("format", "depth"), FORMATS)
def test_a_change_arrives_in_the_frame(format, depth, range):
    """A soft picture becomes another one, which the frame then shows.

    Sums of roundings there and back: three steps of 8 bits.
    """
    converter = FrameConverter(format, depth, make_colour(1, range))
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    white = 255 if depth == 8 else 65535
    soft = np.stack([0.3 + 0.2 * np.sin(columns / 9), 0.4 + 0.2 * np.cos(rows / 8), 0.5 + 0 * rows], axis=-1)
    unit = 1 << (depth - 8)
    frame = make_frame(converter, format, [120 * unit, 130 * unit, 125 * unit])
    pixels = converter.to_rgb(frame)
    wanted = (soft * white).round().astype(pixels.dtype)
    seen = converter.to_rgb(converter.to_frame(frame, pixels, wanted))
    assert np.abs(seen / white - wanted / white)[2:-2, 2:-2].max() <= 4 / 255


def test_a_larger_result_becomes_a_larger_frame():
    converter = FrameConverter("yuv420p", 8, make_colour())
    frame = make_frame(converter, "yuv420p", [120, 128, 128])
    pixels = converter.to_rgb(frame)
    made = converter.to_frame(frame, pixels, np.repeat(np.repeat(pixels, 2, 0), 2, 1))
    assert (made.width, made.height, made.pts) == (2 * WIDTH, 2 * HEIGHT, 3)
    assert np.abs(converter.planes(made)[0].astype(int) - 120).max() <= 1


@pytest.mark.parametrize(("gray", "format", "depth"), [("gray", "yuv420p", 8), ("gray10le", "yuv420p10le", 10)])
def test_gray_keeps_its_samples_and_gets_no_colour(gray, format, depth):
    converter = FrameConverter(format, depth, make_colour(), "gray")
    values = np.random.default_rng(4).integers(0, 1 << depth, (HEIGHT, WIDTH))
    made = converter.settle(make_frame(converter, gray, [values]))
    luma, *others = converter.planes(made)
    assert np.array_equal(luma, values) and all((plane == 1 << (depth - 1)).all() for plane in others)


@pytest.mark.parametrize("given", ["yuvj420p", "yuva420p"])
def test_formats_of_the_same_samples_keep_them(given):
    """The names yuvj say the range alone, and alpha is left out."""
    converter = FrameConverter("yuv420p", 8, make_colour(1, FULL if given == "yuvj420p" else LIMITED))
    frame = av.VideoFrame(WIDTH, HEIGHT, given)
    random = np.random.default_rng(5)
    for plane in converter.planes(frame):
        plane[:] = random.integers(0, 256, plane.shape)
    made = converter.settle(frame)
    assert made.format.name == "yuv420p"
    for old, new in zip(converter.planes(frame), converter.planes(made), strict=False):
        assert np.array_equal(old, new)


def test_an_unnamed_matrix_is_guessed_by_the_size_as_players_do():
    small, large = (av.VideoFrame(*size, "yuv420p") for size in ((720, 576), (1280, 720)))
    assert [read_colour(frame, False, "a").matrix for frame in (small, large)] == [6, 1]
    assert read_colour(small, False, "a").named_matrix == 2
    assert [read_colour(small, full, "a").range for full in (False, True)] == [LIMITED, FULL]


def test_a_matrix_that_is_not_converted_is_refused():
    frame = av.VideoFrame(64, 64, "yuv420p10le")
    frame.colorspace = 14
    with pytest.raises(UserError, match="cannot restore a.mkv: its colour matrix ICtCp is not converted"):
        read_colour(frame, False, "a.mkv")

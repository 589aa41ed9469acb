"""The options of `spair profile`: what they may say, and the one sentence where they do not."""

import numpy as np
import pytest

from spair.cli.profile import options
from spair.cli.profile.options import make_plan
from spair.cli.shared.places import check_page
from spair.runtime import UserError
from spair.runtime.profiling.profile import Size, fit


def plan(**given):
    usual = {"size": "64x48", "check_size": "32x24", "densities": "0.1", "masks": "blob", "precision": "fp32",
             "threads": None, "tile": None, "repeat": None, "picture": Size(9, 7)}  # fmt: skip
    return make_plan(**{**usual, **given})


def test_lists_are_read_in_order_and_without_doubles():
    assert options.parse_sizes("64x48, 8X8,64x48") == [Size(64, 48), Size(8, 8)]
    assert options.parse_densities("1,0.02,2e-2") == [0.02, 1.0]
    assert options.parse_masks("shadow,streak,shadow") == ["shadow", "streak"]
    assert options.parse_precisions("fp32,fp16") == ["fp32", "fp16"]
    assert options.parse_threads("2,1") == [2, 1] and options.parse_threads(None) == [None]


def test_every_precision_is_run_with_every_number_of_threads():
    settings = plan(precision="fp32,fp16", threads="1,2", tile=64).settings
    assert [(s.precision, s.threads, s.tile) for s in settings] == [
        ("fp32", 1, 64), ("fp32", 2, 64), ("fp16", 1, 64), ("fp16", 2, 64),
    ]  # fmt: skip


def test_without_a_size_it_is_that_of_the_picture():
    assert plan(size=None).sizes == (Size(9, 7),)


def test_the_ways_are_compared_on_nothing_larger_than_what_is_measured():
    assert plan(size="64x8,16x48").check_size == Size(32, 24)
    assert plan(size="16x48").check_size == Size(16, 24)


def test_repeats_that_are_asked_for_are_done():
    assert plan(repeat=7).effort.dense.most == 7 and plan().effort.dense.seconds < 60


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"size": "1920"}, "the size '1920' is not WIDTHxHEIGHT in pixels; give for example --size 1920x1080"),
        ({"size": "-4x4"}, "the size '-4x4' is not"),
        ({"size": "4x4x4"}, "the size '4x4x4' is not"),
        ({"size": "٤x4"}, "is not WIDTHxHEIGHT"),
        ({"size": "0x4"}, "has 0 pixels, expected 1 to 500000000"),
        ({"size": "99999x99999"}, "has 9999800001 pixels"),
        ({"size": "4x4,"}, "--size is '4x4,', expected one value, or several"),
        ({"size": ""}, "--size is '', expected"),
        ({"check_size": "4x4,5x5"}, "--check-size is '4x4,5x5', expected one size"),
        ({"check_size": "4"}, "for example --check-size"),
        ({"densities": "10%"}, "the density '10%' is no number"),
        ({"densities": "0.1,1.5"}, "the density 1.5 is outside of 0 to 1"),
        ({"densities": "-0.1"}, "the density -0.1 is outside"),
        ({"densities": "nan"}, "the density nan is outside"),
        ({"masks": "dots"}, "no mask of shape 'dots'; choose --masks from streak, blob, shadow, uniform"),
        ({"threads": "0"}, "threads '0' is none from 1 to 1024"),
        ({"threads": "two"}, "threads 'two' is none"),
        ({"precision": ","}, "--precision is ','"),
    ],
)
def test_anything_else_is_one_sentence(given, match):
    with pytest.raises(UserError, match=match):
        plan(**given)


def test_a_page_that_cannot_be_written_is_refused_and_nothing_is_made(tmp_path, monkeypatch):
    check_page(None)
    check_page(tmp_path / "page.html")
    with pytest.raises(UserError, match="it is a folder; give the name of a file with --html"):
        check_page(tmp_path)
    with pytest.raises(UserError, match=r"there is no folder .*absent; make it, or choose another --html"):
        check_page(tmp_path / "absent" / "page.html")
    monkeypatch.setattr("os.access", lambda path, mode: False)  # tests may run as root, who may write anywhere
    with pytest.raises(UserError, match="is not writable; choose another --html"):
        check_page(tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (6, 4), (7, 4), (30, 2), (41, 33)])
def test_a_picture_is_cut_or_mirrored_never_scaled(size):
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    fitted = fit(pixels, Size(*size))
    assert fitted.shape == (size[1], size[0], 3) and fitted.flags.c_contiguous
    assert {tuple(pixel) for pixel in fitted.reshape(-1, 3)} <= {tuple(pixel) for pixel in pixels.reshape(-1, 3)}
    if size == (5, 3):
        assert (fitted == pixels[:3, :5]).all()
    if size == (41, 33):
        assert (
            (fitted[:4, :6] == pixels).all() and (fitted[4] == fitted[3]).all() and (fitted[:, 6] == fitted[:, 5]).all()
        )

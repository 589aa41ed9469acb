"""The options of `spair profile`: what they may say, and the one sentence where they do not."""

import pytest

from spair.cli.profile import options
from spair.cli.profile.options import make_plan
from spair.runtime import UserError
from spair.runtime.profiling.profile import Size


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
        ({"size": "4x4,"}, "--size is '4x4,', expected one value, or several"),
        ({"size": ""}, "--size is '', expected"),
        ({"check_size": "4x4,5x5"}, "--check-size is '4x4,5x5', expected one size"),
        ({"check_size": "4"}, "for example --check-size"),
        ({"densities": "10%"}, "the density '10%' is not a number"),
        ({"densities": "0.1,1.5"}, "the density 1.5 is outside of 0 to 1"),
        ({"densities": "-0.1"}, "the density -0.1 is outside"),
        ({"densities": "nan"}, "the density nan is outside"),
        ({"masks": "dots"}, "no mask of shape 'dots'; choose --masks from streak, blob, shadow, uniform"),
        ({"threads": "0"}, "--threads has '0', expected whole numbers from 1 to 1024"),
        ({"threads": "two"}, "--threads has 'two'"),
        ({"precision": ","}, "--precision is ','"),
    ],
)
def test_anything_else_is_one_sentence(given, match):
    with pytest.raises(UserError, match=match):
        plan(**given)

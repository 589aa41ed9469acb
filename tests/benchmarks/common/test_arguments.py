import argparse

import pytest

from benchmarks.common.arguments import parse_count, parse_names, parse_shares, parse_size


def test_options_are_parsed():
    assert parse_shares("0,0.02,1.0") == (0.0, 0.02, 1.0)
    assert parse_names(("a", "b"))("b,a") == ("b", "a")
    assert parse_names(("a",))("") == ()
    assert parse_count("12") == 12
    assert parse_size("1920x1080") == (1920, 1080)


@pytest.mark.parametrize(
    ("parse", "text", "match"),
    [
        (parse_shares, "0.1,x", "not a list of numbers"),
        (parse_shares, "1.5", "outside of 0..1"),
        (parse_names(("a", "b")), "a,c", "no 'c'; choose from a, b"),
        (parse_count, "0", "not a whole number from 1 on"),
        (parse_count, "-3", "not a whole number"),
        (parse_size, "1920", "not a size such as 1920x1080"),
        (parse_size, "0x8", "not a whole number"),
    ],
)
def test_bad_options_are_refused(parse, text, match):
    with pytest.raises(argparse.ArgumentTypeError, match=match):
        parse(text)

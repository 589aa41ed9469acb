"""JSON is parsed into values that can be used and written again, or refused with a reason."""

import datetime
import json

import pytest

from spair.runtime.bounds.values import MOST_DEPTH, check_values, parse_json, shorten


def test_plain_json_is_what_python_makes_of_it():
    text = '{"a": [1, -2.5, true, null, "\\u00e9\\ud83d\\ude00"], "b": {"a": 9223372036854775807}}'
    assert parse_json(text) == parse_json(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting"),
        (b"\xff\xfe\xff", "decode"),
        ("[" * 100_000, "nested deeper than 64"),
        ("[" * (MOST_DEPTH + 2) + "]" * (MOST_DEPTH + 2), "nested deeper than 64"),
        ("1" * 5000, "whole number of 5000 digits"),
        ("-" + "1" * 20, "whole number of 21 digits"),
        ("1e999", "1e999, which is too large"),
        ("[NaN]", "NaN, which is not JSON"),
        ("[-Infinity]", "-Infinity, which is not JSON"),
        ('{"a": 1, "b": {"a": 1, "a": 2}}', "entry 'a' stands twice"),
        ('{"\\ud800": 1}', "half of a character"),
        ('["\\udc80"]', "half of a character"),
        ('{"' + "a" * 4097 + '": 1}', "a text of 4097 characters"),
    ],
)
def test_json_that_python_takes_and_nothing_else_is_refused(text, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        parse_json(text)
    str(caught.value).encode()  # a reason can always be printed


def test_as_many_levels_as_allowed_are_taken():
    assert parse_json("[" * MOST_DEPTH + "]" * MOST_DEPTH)


@pytest.mark.parametrize("value", [10**40, {"a": [-(10**40)]}, {1: {2: "\ud800"}}])
def test_values_of_other_parsers_are_held_to_the_same(value):
    with pytest.raises(ValueError, match="digits|half of a character"):
        check_values(value)


def test_values_that_json_does_not_know_pass():
    check_values({1: datetime.date(2020, 1, 1), None: [float("inf"), b"\xff"]})


def test_reasons_are_cut():
    assert shorten(ValueError("a" * 500)) == "a" * 500
    assert shorten("a" * 501) == "a" * 500 + "…"

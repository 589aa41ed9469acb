"""Results go to stdout as strict JSON or text, everything else to stderr."""

import json
import math

import pytest
from rich.console import Console

from spair.cli.shared.output import counting, decibel, deliver, finite_or_null, make_table, number, working


def test_json_is_one_strict_line(capsys):
    deliver({"a": [1, None]}, True, lambda report, console: pytest.fail("shown"))
    assert json.loads(capsys.readouterr().out) == {"a": [1, None]}
    with pytest.raises(ValueError, match="JSON"):
        deliver({"a": math.nan}, True, lambda report, console: None)


def test_people_get_the_text(capsys):
    deliver({"a": 1}, False, lambda report, console: console.print(f"a is {report['a']}"))
    assert capsys.readouterr().out == "a is 1\n"


@pytest.mark.parametrize("display", [working, counting])
def test_chatter_of_the_work_goes_to_stderr(display, capsys):
    with display("work"):
        print("chatter")
    assert capsys.readouterr().out == ""


def test_numbers_that_are_not_finite_become_null():
    given = {"a": [math.inf, 1.0, (math.nan,)], "b": "nan", "c": True}
    assert finite_or_null(given) == {"a": [None, 1.0, [None]], "b": "nan", "c": True}


def test_numbers_stand_to_the_right(capsys):
    table = make_table(["a"], ["b"])
    table.add_row("x", number(1.005, 1, " %"))
    table.add_row("long", number(None))
    Console(width=80).print(table)
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "a         b",
        "x     1.0 %",
        "long      –",
    ]


@pytest.mark.parametrize(("value", "text"), [(100.0, "identical"), (31.234, "31.23 dB")])
def test_identical_pictures_have_no_decibels(value, text):
    assert decibel(value) == text

"""Results go to stdout as strict JSON or text, everything else to stderr."""

import io
import json
import math
import sys

import pytest

from spair.cli.shared.output import (
    Terminal,
    accept_all_text,
    counting,
    decibel,
    deliver,
    finite_or_null,
    make_table,
    make_visible,
    number,
    tell,
    working,
)

NASTY = "[red]a[bold] :smile: \x1b[2J\x07 b\r\n\u202ec\x9b1m\udcff"
SHOWN = r"[red]a[bold] :smile: \x1b[2J\x07 b\r\n\u202ec\x9b1m\udcff"
"""A text that would colour, clear, ring, break the line, turn it round and fail to encode, and how it is shown."""


class Screen(io.StringIO):
    """A terminal that remembers what was written."""

    encoding = "utf-8"

    def isatty(self):
        return True


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
    Terminal(width=80).print(table)
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "a         b",
        "x     1.0 %",
        "long      –",
    ]


@pytest.mark.parametrize(("value", "text"), [(100.0, "identical"), (31.234, "31.23 dB")])
def test_identical_pictures_have_no_decibels(value, text):
    assert decibel(value) == text


def test_text_that_prints_stays_as_it_is():
    assert make_visible("a b é 漢 [x] \\") == "a b é 漢 [x] \\"
    assert make_visible(NASTY) == SHOWN


def test_lines_and_cells_are_printed_as_they_are():
    stream = io.StringIO()
    console = Terminal(width=200, file=stream)
    table = make_table([NASTY], ["number"])
    table.add_row(NASTY, "1")
    console.print(table)
    console.print(NASTY, soft_wrap=True)
    lines = stream.getvalue().splitlines()
    assert [line.split("  ")[0] for line in lines] == [SHOWN] * 3


def test_sentences_on_stderr_are_printed_as_they_are(capsys):
    tell(f"error: {NASTY}")
    assert capsys.readouterr().err == f"error: {SHOWN}\n"


@pytest.mark.parametrize("display", ["spinner", "bar"])
def test_words_of_progress_are_shown_as_they_are(display, monkeypatch):
    screen = Screen()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("sys.stderr", screen)
    if display == "spinner":
        with working(NASTY) as progress:
            progress(f"then {NASTY}")
    else:
        with counting("restoring") as progress:
            progress(1, 2, f"folder/then {NASTY}")
    assert f"then {SHOWN}" in screen.getvalue()
    assert not {"\x07", "\u202e", "\x9b", "\udcff"} & set(screen.getvalue()) and "\x1b[2J" not in screen.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_every_text_can_be_printed(monkeypatch, encoding):
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    accept_all_text()
    text = "ä – 4×4 … \U0001f600 \udcff"
    for stream in streams:
        print(text, file=stream, flush=True)
        written = stream.buffer.getvalue()
        assert b"\\udcff" in written
        if encoding == "ascii":
            assert written == b"\\xe4 - 4x4 ... \\U0001f600 \\udcff\n"
        else:
            assert written.decode(encoding).startswith("ä ")


def test_streams_that_are_no_text_files_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    accept_all_text()


def test_decoding_errors_are_no_concern_of_the_handler():
    accept_all_text()
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("utf-8", "spair")


def test_lines_stand_for_the_bar_where_there_is_no_terminal(capsys, monkeypatch):
    times = iter([0.0, 1.0, 6.0, 6.0, 7.0])
    monkeypatch.setattr("spair.cli.shared.output.time.monotonic", lambda: next(times))
    with counting("restoring") as count:
        count(1, 300, "in/a.png")
        count(2, 300, "in/b.png")
        count(3, 300, "in/c.png")
    assert capsys.readouterr().err == "restoring 2 of 300: b.png\n"


def test_long_paths_are_whole_in_pipes(capsys):
    table = make_table(["picture"], ["seconds"])
    table.add_row("folder/" * 40 + "a.png", "1.0")
    deliver({}, False, lambda report, console: console.print(table))
    assert "folder/" * 40 + "a.png" in capsys.readouterr().out

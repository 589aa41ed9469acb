"""Old names of options work, warn, and go in time."""

import importlib.metadata

import pytest

from spair.cli.main import VERBS
from spair.cli.shared.deprecation import RENAMED, Renamed, take_renamed
from spair.runtime import UserError

OLD = Renamed("--old", "--new", since="1.2", until="1.4")


def test_the_new_name_says_nothing(capsys):
    assert take_renamed("a", None, OLD) == "a" and take_renamed(None, None, OLD) is None
    assert capsys.readouterr() == ("", "")


def test_the_old_name_gives_its_value_and_one_line_on_stderr(capsys):
    assert take_renamed(None, "a", OLD) == "a"
    line = "warning: --old is called --new since spair-rt 1.2; the old name goes with 1.4\n"
    assert capsys.readouterr() == ("", line)


def test_both_names_are_refused():
    with pytest.raises(UserError, match="--old is the old name of --new, got both; give --new alone"):
        take_renamed("a", "a", OLD)


def read_version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")[:2]))


@pytest.mark.parametrize("renamed", RENAMED, ids=lambda renamed: renamed.old)
def test_old_names_are_gone_when_their_time_is_over(renamed):
    version = read_version(importlib.metadata.version("spair-rt"))
    assert version < read_version(renamed.until), f"{renamed.old} was to go: remove its option and its record"
    assert read_version(renamed.since) <= version


@pytest.mark.parametrize(
    ("verb", "old", "arguments"),
    [
        ("evaluate", "--target", ["no.spair", "--input", "a"]),
        ("calibrate", "--targets", ["no.spair", "--images", "a", "--precision", "fp16"]),
    ],
)
def test_the_old_names_of_clean_work_and_are_hidden(spair, verb, old, arguments):
    done = spair(verb, *arguments, old, "b")
    assert f"warning: {old} is called --clean" in done.err and done.out == ""
    done.refused("no.spair")
    spair(verb, *arguments, old, "b", "--clean", "b").refused(f"{old} is the old name of --clean, got both")
    options = spair(verb, "--help").out
    assert "--clean FOLDER" in options and f"{old} " not in options
    assert verb in [one.run.__name__ for one in VERBS]

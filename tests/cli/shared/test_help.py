"""Help in panels, readable at 80 columns, in a pipe and without colours."""

import os
import subprocess
import sys

import pytest
from typer.main import get_command

from spair.cli.main import VERBS, app

COMMANDS = get_command(app).commands


def ask(*arguments: str, **environment: str) -> str:
    """Return what `spair` prints into a pipe at 80 columns."""
    command = [sys.executable, "-c", "from spair.cli.main import main; main()", *arguments]
    given = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")}
    done = subprocess.run(command, cwd="/", env=given | environment, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def read_sections(text: str) -> dict[str, list[str]]:
    """Return the lines below each heading of a help page."""
    sections, current = {}, []
    for line in text.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            current = sections[line[:-1]] = []
        elif line.strip():
            current.append(line)
    return sections


def test_verbs_stand_in_panels_and_no_summary_is_cut_or_wrapped():
    text = ask("--help", COLUMNS="80")
    sections = read_sections(text)
    panels = {}
    for verb in VERBS:
        panels.setdefault(verb.panel, []).append(verb.run.__name__)
    assert list(sections) == [*panels, "Options"] and list(panels) == ["Use", "Prepare", "Measure", "Train"]
    for panel, verbs in panels.items():
        assert [line.split()[0] for line in sections[panel]] == verbs
        assert all(line.endswith(".") and not line.endswith("..") for line in sections[panel])
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_help_is_plain_text_in_a_pipe(environment):
    text = ask("evaluate", "--help", **environment)
    assert "\x1b" not in text and text.isascii() and "\b" not in text


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_value_has_a_name_in_capitals_or_its_choices(spair, verb):
    text = spair(verb, "--help").out
    assert "<" not in text and "{" not in text
    for param in COMMANDS[verb].params:
        if getattr(param, "hidden", False) or getattr(param, "is_flag", False):
            continue
        if param.metavar is None:
            assert param.type_descriptor.is_choice, f"{param.name} has no metavar"
        else:
            assert param.metavar == param.metavar.upper()


def test_the_options_of_evaluate_are_grouped(spair):
    sections = read_sections(spair("evaluate", "--help").out)
    assert list(sections) == ["Arguments", "Inputs", "Measures", "Model", "Output", "Options"]
    firsts = {panel: [line.split()[0] for line in lines if line.startswith("  -")] for panel, lines in sections.items()}
    assert firsts["Inputs"] == ["--input", "--clean", "--mask", "--dataset", "--root", "--split", "--only"]
    assert firsts["Output"] == ["--out", "--pictures", "--separate", "--json"]


def test_limits_are_said_in_words(spair):
    assert "at least 8" in spair("restore", "--help").out and "x>=" not in spair("evaluate", "--help").out


@pytest.mark.parametrize(
    ("words", "found"),
    [("spair ev", ["evaluate"]), ("spair evaluate --cl", ["--clean"]), ("spair evaluate x --protocol ra",
                                                                        ["rain", "raindrop"])],
)  # fmt: skip
def test_the_shell_completes_verbs_options_and_choices(words, found):
    asked = {"_SPAIR_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    assert ask(**asked).split() == found


def test_hidden_names_are_not_completed():
    words = "spair evaluate --tar"
    assert ask(_SPAIR_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD="2").split() == []


def test_the_completion_script_is_shown_for_the_shell_at_hand():
    code = "from spair.cli.main import main; main()"
    line = f'{sys.executable} -c "{code}" --show-completion; exit $?'
    done = subprocess.run(["bash", "-c", line], cwd="/", text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "_SPAIR_COMPLETE=complete_bash" in done.stdout and "complete -o default -F" in done.stdout


def test_completion_can_be_installed(tmp_path):
    code = "from spair.cli.main import main; main()"
    line = f'{sys.executable} -c "{code}" --install-completion; exit $?'
    home = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(["bash", "-c", line], cwd="/", env=home, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    scripts = [path for path in tmp_path.rglob("*") if path.is_file() and "_SPAIR_COMPLETE" in path.read_text()]
    assert scripts, "no script was written below the home folder"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["restore", "rain", "a.png", "--out", ""], "--out"),
        (["restore", "rain", "a.png", "--out="], "--out"),
        (["restore", "rain", "", "--out", "x"], "an argument"),
        (["restore", "", "a.png", "--out", "x"], "an argument"),
        (["restore", "rain", "--save-mask", " ", "--out", "x"], "an argument"),
        (["evaluate", "rain", "--input", "a", "--clean", "b", "--out", ""], "--out"),
        (["export", "rain", "--served", ""], "--served"),
        (["demo", "--out", ""], "--out"),
        (["profile", "rain", "--html", ""], "--html"),
        (["inspect", ""], "an argument"),
        (["train", ""], "an argument"),
    ],
)
def test_an_empty_name_is_not_the_current_folder(spair, monkeypatch, tmp_path, arguments, name):
    monkeypatch.chdir(tmp_path)
    spair(*arguments).refused(f"^error: {name} is empty, as from a variable that is not set; give a name, or \\. for")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_text_is_taken_where_texts_are_free(spair, tmp_path):
    for suffix in (["--suffix", ""], ["--suffix="]):
        done = spair("restore", tmp_path / "none.spair", tmp_path, "--out", tmp_path / "x", *suffix)
        done.refused("holds no picture")

"""Trust of a bundle's code from the command line."""

import io

import pytest

from spair.cli import trust as verb
from spair.runtime.bundle.reader import Bundle
from spair.runtime.trust import list_trusted
from tests.runtime.trust.conftest import ENGINE, LIBRARY, PART, add_code


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def built(bundle):
    return add_code(Bundle.open(bundle), b"library").path


@pytest.fixture
def terminal(monkeypatch):
    """Pretend that there is a terminal, on which somebody types an answer."""

    def answer(text):
        monkeypatch.setattr(verb, "_is_terminal", lambda: True)
        monkeypatch.setattr(verb.typer, "confirm", lambda question, err: asked.append((question, err)) or text == "y")

    asked = []
    answer.asked = asked
    return answer


def test_yes_trusts_library_and_engines_and_says_so(spair, built):
    report = spair("trust", built, "--yes", "--json").json
    assert set(report) == {"bundle", "digest", "list", "changed", "files", "removed"}
    assert (report["bundle"], report["changed"], report["removed"]) == (str(built), 3, False)
    assert [entry["file"] for entry in report["files"]] == [LIBRARY, ENGINE, PART]
    assert set(report["files"][0]) == {"target", "file", "sha256", "bytes", "trusted"}
    assert all(entry["trusted"] for entry in report["files"])
    assert set(list_trusted()) == {entry["sha256"] for entry in report["files"]}


def test_people_see_target_file_and_digest(spair, built, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    out = spair("trust", built, "--yes").out
    digest = Bundle.open(built).manifest.files[LIBRARY]
    assert ["l4", LIBRARY, f"{digest[:12]}…", "yes", "7"] in [line.split() for line in out.splitlines()]
    assert "3 trusted now; the list is " in out


def test_without_a_terminal_nothing_is_trusted_unasked(spair, built, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    spair("trust", built).refused("nothing was trusted: there is no terminal to ask you about .*; add --yes")
    assert list_trusted() == {}


def test_a_terminal_is_asked_after_the_files_were_shown(spair, built, terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    terminal("y")
    done = spair("trust", built, "--json")
    assert done.json["changed"] == 3 and LIBRARY in done.err
    assert terminal.asked == [("Let 3 files run as code, with your rights?", True)]
    assert spair("trust", built, "--json").json["changed"] == 0
    assert len(terminal.asked) == 1, "what is trusted is not asked for again"


def test_no_is_a_failure(spair, built, terminal):
    terminal("n")
    assert spair("trust", built).code == 2
    assert list_trusted() == {}


def test_remove_asks_nothing_and_takes_all_back(spair, built, terminal):
    spair("trust", built, "--yes")
    report = spair("trust", built, "--remove", "--json").json
    assert (report["changed"], report["removed"]) == (3, True)
    assert list_trusted() == {} and terminal.asked == []
    assert "nothing changed" in spair("trust", built, "--remove").out


def test_a_target_limits_what_is_trusted(spair, built):
    assert spair("trust", built, "--target", "l4", "--yes", "--json").json["changed"] == 3
    spair("trust", built, "--target", "rtx", "--yes").refused("nothing for the target 'rtx' .it has: l4.")


def test_bad_input_is_one_sentence(spair, bundle, tmp_path):
    spair("trust", bundle, "--yes").refused("holds no plugin library and no engine")
    spair("trust", tmp_path / "absent.spair", "--yes").refused("it does not exist")
    (tmp_path / "cache").mkdir(mode=0o700)
    (tmp_path / "cache" / "trusted.json").touch(mode=0o600)
    (tmp_path / "cache" / "trusted.json").write_text("{")
    spair("trust", add_code(Bundle.open(bundle), b"x").path, "--yes").refused("is damaged .*; delete it")


def test_a_question_about_one_file_speaks_of_one(monkeypatch):
    asked = []
    monkeypatch.setattr(verb, "_is_terminal", lambda: True)
    monkeypatch.setattr(verb.typer, "confirm", lambda question, err: asked.append(question) or True)
    entry = {"target": "l4", "file": "f", "sha256": "a", "trusted": False, "bytes": 1}
    verb._ask({"bundle": "b", "files": [entry, {**entry, "trusted": True}]})
    assert asked == ["Let this file run as code, with your rights?"]

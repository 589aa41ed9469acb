"""The documents are true: links resolve, commands exist, Python blocks compile or run, doctests pass."""

import doctest
import functools
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BUILT = ("build", "dist", "demo", "runs")
DOCUMENTS = [
    *sorted(ROOT.glob("[A-Z]*.md")),
    *sorted(path for path in ROOT.glob("[a-z]*/**/*.md") if path.relative_to(ROOT).parts[0] not in BUILT),
]
FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FOLDERS = ("network", "training", "export", "plugins", "calibration", "runtime", "serving", "cli")


def list_blocks(text: str, language: str) -> list[tuple[str, str]]:
    """Return (the words after the language, the content) of each fenced block of a language."""
    found = ((info.split(), body) for info, body in FENCE.findall(text))
    return [(" ".join(info[1:]), body) for info, body in found if info[:1] == [language]]


def list_links(text: str) -> list[str]:
    """Return the relative targets of links and pictures outside code."""
    prose = re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))
    targets = re.findall(r"\]\(([^)\s]+)\)", prose) + re.findall(r"(?:src|href)=\"([^\"]+)\"", prose)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def list_anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ +(.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def find_dead_links(document: Path) -> list[str]:
    dead = []
    for target in list_links(document.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        file = (document.parent / path) if path else document
        if not file.exists() or (anchor and anchor not in list_anchors(file.read_text(encoding="utf-8"))):
            dead.append(target)
    return dead


def list_commands(text: str, program: str) -> Iterator[list[str]]:
    """Yield the arguments of each call of `program` in code spans and shell blocks."""
    shell = [body for language in ("sh", "bash", "console") for _, body in list_blocks(text, language)]
    code = [
        *"\n".join(shell).replace("\\\n", " ").split("\n"),
        *re.findall(r"`([^`\n]+)`", FENCE.sub("", text)),
    ]
    for line in code:
        command = line.split(" #")[0].strip().removeprefix("$ ").removeprefix(".venv/bin/")
        program_and_arguments = command.split()
        if program_and_arguments[:1] == [program] and len(program_and_arguments) > 1:
            yield program_and_arguments[1:]


def read_all() -> str:
    return "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)


@functools.cache
def ask_help(*verb: str) -> str:
    """Return what `spair VERB --help` prints."""
    run = "from spair.cli.main import main; main()"
    wide = {**os.environ, "COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"}
    command = [sys.executable, "-c", run, *verb, "--help"]
    done = subprocess.run(command, env=wide, text=True, capture_output=True, check=False)
    assert done.returncode == 0, f"spair {' '.join(verb)} --help: {done.stderr}"
    return done.stdout


def list_options(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text))


# The documents themselves


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_relative_links_resolve(document):
    assert find_dead_links(document) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_python_blocks_compile_and_those_marked_run(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for mark, block in list_blocks(document.read_text(encoding="utf-8"), "python"):
        code = compile(block, document.name, "exec")
        if mark == "run":
            exec(code, names)


def test_make_targets_in_the_documents_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = {word for words in list_commands(read_all(), "make") for word in words if re.fullmatch(r"[a-z-]+", word)}
    assert named, "the documents name no make target"
    assert named <= targets


def test_verbs_and_options_in_the_documents_exist():
    unknown = []
    for verb, *arguments in list_commands(read_all(), "spair"):
        if verb.startswith("-"):
            known, given = list_options(ask_help()), {verb}
        elif not re.fullmatch(r"[a-z]+", verb):
            continue
        else:
            known, given = list_options(ask_help(verb)), list_options(" ".join(arguments))
        unknown += [f"spair {verb}: {option}" for option in given - known]
    assert unknown == []


MODULES = [
    ".".join(["spair", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


def test_doctests_pass():
    failed = [name for name in MODULES if doctest.testmod(importlib.import_module(name)).failed]
    assert failed == []


def test_the_readme_is_short_and_its_claims_lead_to_their_pages():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.count("\n") <= 110
    claims = re.findall(r"^\| .+ \| \[[^\]]+\]\((docs/results/[a-z-]+\.md)\) \|$", readme, re.MULTILINE)
    assert 1 <= len(claims) <= 6
    assert len(set(claims)) == len(claims)


def test_figures_of_the_readme_are_on_the_pages_of_results():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for line in readme.split("\n"):
        claim = re.match(r"^\| (.+) \| \[[^\]]+\]\((docs/results/[a-z-]+\.md)\) \|$", line)
        if claim:
            page = (ROOT / claim.group(2)).read_text(encoding="utf-8")
            assert [figure for figure in re.findall(r"\d+\.\d+|\de-\d", claim.group(1)) if figure not in page] == []


def test_every_row_of_results_has_command_machine_and_date():
    for page in sorted((ROOT / "docs" / "results").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        table = re.search(
            r"^\| claim \| figure \| command \| machine \| date \|\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE
        )
        assert (table is None) == (page.stem == "index"), page.name
        for row in table.group(1).splitlines() if table else []:
            claim, figure, command, machine, date = (cell.strip() for cell in row.strip("|").split(" | "))
            assert claim and figure and machine
            assert re.search(r"`.+`|\]\(", command), row
            assert re.fullmatch(r"20\d\d-\d\d-\d\d", date), row


# The readers, on made-up text

TEXT = """# The title: `A` & b!
See [one](a.md#the-title-a--b), [two](https://example.org), `[no](link)` and <img src="b.png">.
```python
x = 1
```
```python run
y = 2
```
```sh
$ spair restore in.png \\
    --out dir   # spair nothing
make demo PYTHON=python3
[no](link)
```
Say `make test`, or `.venv/bin/spair doctor`; then make sure, as `makefile` does.
"""


def test_links_are_read_outside_code():
    assert list_links(TEXT) == ["a.md#the-title-a--b", "b.png"]


def test_anchors_are_those_of_github():
    assert list_anchors(TEXT) == {"the-title-a--b"}


def test_blocks_are_read_with_their_mark():
    assert list_blocks(TEXT, "python") == [("", "x = 1\n"), ("run", "y = 2\n")]


def test_commands_are_read_in_code_only():
    assert list(list_commands(TEXT, "spair")) == [["restore", "in.png", "--out", "dir"], ["doctor"]]
    assert list(list_commands(TEXT, "make")) == [["demo", "PYTHON=python3"], ["test"]]


def test_options_are_whole_words():
    assert list_options("--out -o  half-way --force-dense=1 a--b") == {"--out", "-o", "--force-dense"}


@pytest.mark.parametrize(("link", "dead"), [("b.md", []), ("b.md#top", []), ("b.md#no", ["b.md#no"]), ("c", ["c"])])
def test_dead_links_are_found(tmp_path, link, dead):
    (tmp_path / "b.md").write_text("# Top\n")
    (tmp_path / "a.md").write_text(f"[x]({link})")
    assert find_dead_links(tmp_path / "a.md") == dead

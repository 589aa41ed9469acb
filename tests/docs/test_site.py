"""The documentation site builds, is complete, and loads nothing foreign."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.early

ROOT = Path(__file__).resolve().parents[2]
needs_sphinx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("sphinx", "myst_parser", "furo")),
    reason="the site is built by the extra docs: pip install '.[docs]'",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q"]
    command += ["-c", str(ROOT / "docs"), "-d", str(folder / "doctrees"), str(ROOT), str(folder / "html")]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@needs_sphinx
def test_every_page_is_on_the_site(site):
    pages = {path.relative_to(ROOT).with_suffix(".html").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages <= {path.relative_to(site).as_posix() for path in site.rglob("*.html")}


@needs_sphinx
def test_the_front_page_leads_to_the_index(site):
    target = re.search(r"url=([^\"]+)", (site / "index.html").read_text(encoding="utf-8"))
    assert target is not None
    assert (site / target.group(1)).is_file()


@needs_sphinx
def test_pages_load_nothing_from_elsewhere(site):
    scripts = r"<(?:script|img|iframe)[^>]*\ssrc=\"(?:https?:)?//"
    styles = r"<link[^>]*rel=\"(?:stylesheet|preconnect)\"[^>]*href=\"(?:https?:)?//"
    texts = {path.name: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    assert [name for name, text in texts.items() if re.search(scripts, text) or re.search(styles, text)] == []


def test_make_docs_builds_as_the_test_does():
    recipe = re.search(r"^docs: .*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert recipe is not None
    assert "-m sphinx -b html -W --keep-going -q -c docs" in recipe.group(1)


def test_pages_end_with_what_to_do_when_it_fails():
    pages = sorted((ROOT / "docs" / "tasks").glob("*.md"))
    last = {page.stem: re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)[-1] for page in pages}
    assert set(last) == {
        "restore", "export", "calibrate", "build", "hosts", "polygraphy", "profile", "evaluate", "tensorrt", "train",
        "triton", "trust", "serve", "replicas", "jetson", "video", "camera",
    }  # fmt: skip
    assert set(last.values()) == {"When it fails"}

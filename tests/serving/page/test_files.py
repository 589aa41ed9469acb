"""Files of the page: all of them, with their types, and nothing that a strict policy would refuse."""

import re
from pathlib import Path

import pytest

from spair.serving.page import files
from spair.serving.page.files import CONTENT_TYPES, SECURITY_HEADERS, list_page_files

FOLDER = Path(files.__file__).parent
PAGE = list_page_files()["/"][1].decode()


def test_every_file_but_the_modules_is_listed_with_its_content():
    expected = {path.name: path for path in FOLDER.iterdir() if path.suffix in CONTENT_TYPES}
    found = list_page_files()
    assert {path.removeprefix("/page/") for path in found} == {*expected, "/"} - {"index.html"}
    for path, (content_type, content) in found.items():
        source = expected["index.html" if path == "/" else path.removeprefix("/page/")]
        assert content == source.read_bytes()
        assert content_type == CONTENT_TYPES[source.suffix]


def test_the_page_refers_to_its_parts_relatively_and_to_nothing_else():
    links = re.findall(r'(?:href|src)="([^"]+)"', PAGE)
    assert links and {f"/{link}" for link in links} <= set(list_page_files())


def test_modules_import_only_modules_of_the_page():
    for path, (content_type, content) in list_page_files().items():
        if "javascript" in content_type:
            imports = re.findall(r"from \"([^\"]+)\"", content.decode())
            assert {f"/page/{name.removeprefix('./')}" for name in imports} <= set(list_page_files()), path


@pytest.mark.parametrize("path", sorted(list_page_files()))
def test_no_file_names_another_place(path):
    text = list_page_files()[path][1].decode().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|//[a-z]+\.", text)


@pytest.mark.parametrize("forbidden", [r"\sstyle=", r"\son\w+=", r"<script(?![^>]*\ssrc=)", r"<style", r"javascript:"])
def test_the_page_has_nothing_inline_that_a_policy_refuses(forbidden):
    assert not re.search(forbidden, PAGE)


def test_the_policy_stands_in_the_page_as_well():
    (inside,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', PAGE)
    # Browsers ignore frame-ancestors in a page, and say so on the console.
    assert SECURITY_HEADERS["Content-Security-Policy"] == f"{inside}; frame-ancestors 'none'"
    assert inside.startswith("default-src 'self'; img-src 'self' blob:")


def test_every_element_that_the_modules_look_up_is_in_the_page():
    scripts = "".join(content.decode() for kind, content in list_page_files().values() if "javascript" in kind)
    wanted = set(re.findall(r"byId\(\"(\w+)\"\)", scripts))
    assert wanted and wanted <= set(re.findall(r'id="(\w+)"', PAGE))

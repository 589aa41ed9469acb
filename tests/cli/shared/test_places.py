"""Output places are checked before any long work, and nothing is made."""

import pytest

from spair.cli.shared.places import check_page, read_place
from spair.runtime import UserError


def test_a_page_that_cannot_be_written_is_refused_and_nothing_is_made(tmp_path, monkeypatch):
    check_page(None)
    check_page(tmp_path / "page.html")
    with pytest.raises(UserError, match="it is a folder; give the name of a file with --html"):
        check_page(tmp_path)
    with pytest.raises(UserError, match=r"there is no folder .*absent; make it, or choose another --html"):
        check_page(tmp_path / "absent" / "page.html")
    monkeypatch.setattr("os.access", lambda path, mode: False)  # tests may run as root, who may write anywhere
    with pytest.raises(UserError, match="is not writable; choose another --html"):
        check_page(tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n", b"notes", b"{}"])
def test_a_page_replaces_a_page_but_nothing_else(tmp_path, content):
    place = tmp_path / "page.html"
    for page in (b"", b"<!doctype html>", b"\n <html>"):
        place.write_bytes(page)
        check_page(place)
    place.write_bytes(content)
    with pytest.raises(UserError, match=r"the file that is there is no page; choose another --html"):
        check_page(place)
    assert place.read_bytes() == content


def test_the_option_that_names_the_file_is_said(tmp_path):
    with pytest.raises(UserError, match="give the name of a file with --export-times"):
        check_page(tmp_path, "--export-times")


def test_a_folder_of_results_is_no_file():
    with pytest.raises(UserError, match="is the name of a file"):
        read_place("a/result.PNG")


def test_a_folder_that_ends_like_a_picture_may_be_there(tmp_path):
    (tmp_path / "album.png").mkdir()
    assert read_place(str(tmp_path / "album.png")) == str(tmp_path / "album.png")
    assert read_place(".") == "."

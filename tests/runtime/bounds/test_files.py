"""Small files are read whole, and nothing else is opened."""

import os
import socket

import pytest

from spair.runtime.bounds.files import read_bounded, read_text


def test_a_file_is_read_up_to_its_bound(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bounded(tmp_path / "a", 5) == b"12345"
    assert read_text(str(tmp_path / "a"), 5) == "12345"
    with pytest.raises(ValueError, match="more than 4 bytes"):
        read_bounded(tmp_path / "a", 4)


def test_text_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="utf-8"):
        read_text(tmp_path / "a")


def test_what_could_block_or_never_end_is_refused(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as door:
        monkeypatch.chdir(tmp_path)  # names of sockets are short
        door.bind("socket")
    cases = {"fifo": "a FIFO", "socket": "a socket", "/dev/zero": "a device", ".": "a folder"}
    for name, words in cases.items():
        with pytest.raises(ValueError, match=f"it is {words}, expected a file"):
            read_bounded(tmp_path / name)


def test_an_absent_file_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_bounded(tmp_path / "absent")

"""Files are written completely or not at all, and hashed."""

import hashlib

import pytest

from spair.runtime.errors import UserError
from spair.runtime.files import replace_atomically, sha256, write_atomically


def write_in_pieces(target, data: bytes) -> None:
    with replace_atomically(target) as temporary, temporary.open("wb") as stream:
        for place in range(0, len(data), 3):
            stream.write(data[place : place + 3])


@pytest.mark.parametrize("write", [write_atomically, write_in_pieces])
def test_a_file_is_made_and_replaced(tmp_path, write):
    target = tmp_path / "file.bin"
    for data in (b"first content", b"", b"second"):
        write(target, data)
        assert target.read_bytes() == data and list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("write", [write_atomically, write_in_pieces])
def test_a_folder_that_takes_no_file_is_one_sentence(tmp_path, write):
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "none" / "a", tmp_path / "file" / "a"):
        with pytest.raises(UserError, match=r"cannot write .*/a: .*; give an existing folder that can be written"):
            write(target, b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("half"), OSError(28, "No space left on device")])
def test_a_failure_in_the_middle_leaves_the_old_file_alone(tmp_path, error):
    target = tmp_path / "file"
    target.write_bytes(b"old")
    expected = UserError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected), replace_atomically(target) as temporary:
        temporary.write_bytes(b"half of the ")
        raise error
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]


def test_a_file_is_visible_only_when_the_body_ends(tmp_path):
    target = tmp_path / "file"
    with replace_atomically(target) as temporary:
        temporary.write_bytes(b"new")
        assert not target.exists() and temporary.parent == tmp_path
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path, size):
    data = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "file").write_bytes(data[:size])
    assert sha256(tmp_path / "file") == hashlib.sha256(data[:size]).hexdigest()

"""A repository is written whole or not at all, and nothing of others is removed."""

import json
import shutil
from pathlib import Path

import pytest

from spair.runtime.errors import UserError
from spair.serving.repository import folder as folder_module
from spair.serving.repository.folder import LISTING, check_place, write_folder


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write(folder: Path, content: bytes = b"1", force: bool = False) -> None:
    write_folder(folder, {"models/a/config.pbtxt": content, "README.md": b"page"}, {"device": "cpu"}, force)


def test_the_listing_names_every_other_file(tmp_path):
    write(tmp_path / "new" / "out")
    found = tree(tmp_path / "new" / "out")
    listing = json.loads(found.pop(LISTING))
    assert listing == {"schema": 1, "device": "cpu", "files": sorted(found)}


def test_an_empty_folder_is_filled(tmp_path):
    write(tmp_path)
    assert (tmp_path / "README.md").read_bytes() == b"page"


def test_an_older_repository_is_replaced_by_force_alone(tmp_path):
    out = tmp_path / "out"
    write(out)
    with pytest.raises(UserError, match="the folder is not empty; replace it with --force"):
        write(out, b"2")
    compiled = out / "models" / "a" / "1" / "__pycache__" / "model.cpython-311.pyc"
    compiled.parent.mkdir(parents=True)
    compiled.write_bytes(b"made by the server")
    write(out, b"2", force=True)
    assert tree(out)["models/a/config.pbtxt"] == b"2"
    assert not compiled.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["notes.txt", "models/a/1/model.onnx", "models/a/1/__pycache__/notes.txt"])
def test_files_of_others_are_never_removed(tmp_path, name):
    write(tmp_path)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(UserError, match=f"{name} in it was not written by spair repository and would be lost"):
        write(tmp_path, force=True)
    assert (tmp_path / name).read_bytes() == b"mine"


@pytest.mark.parametrize("listing", [None, b"{", b"[]", b'{"schema": 99, "files": ["README.md"]}'])
def test_a_folder_without_a_listing_is_not_replaced(tmp_path, listing):
    (tmp_path / "README.md").write_bytes(b"mine")
    if listing is not None:
        (tmp_path / LISTING).write_bytes(listing)
    with pytest.raises(UserError, match="was not written by spair repository"):
        write(tmp_path, force=True)
    assert (tmp_path / "README.md").read_bytes() == b"mine"


def test_files_and_links_are_not_replaced(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        with pytest.raises(UserError, match="a file or link of that name exists"):
            check_place(tmp_path / name, force=True)


def test_a_failure_leaves_the_older_repository_and_nothing_else(tmp_path, monkeypatch):
    out = tmp_path / "out"
    write(out)
    before = tree(out)

    def fail(folder, files):
        shutil.copytree(out, folder)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_module, "write_contents", fail)
    with pytest.raises(UserError, match="cannot write the repository .*No space left on device"):
        write(out, b"2", force=True)
    assert tree(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]

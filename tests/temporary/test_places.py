"""Places for half-written content vanish with their block."""

import errno
import shutil
import stat
import tempfile
from types import SimpleNamespace

import pytest

from spair.cli.shared.failures import explain
from spair.temporary.names import parse_name
from spair.temporary.places import ROOM, ScratchError, finish, place_beside, scratch_folder
from tests.temporary.dead import left_by_the_dead


@pytest.mark.parametrize("error", [None, ValueError("half"), KeyboardInterrupt(), SystemExit(143)])
@pytest.mark.parametrize("kind", ["file", "folder", "nothing"])
def test_nothing_is_left_beside_a_target(tmp_path, kind, error):
    def work():
        with place_beside(tmp_path / "target") as path:
            assert path.parent == tmp_path and parse_name(path.name) and not path.exists()
            if kind == "file":
                path.touch()
            elif kind == "folder":
                (path / "deep").mkdir(parents=True)
            if error is not None:
                raise error

    if error is None:
        work()
    else:
        with pytest.raises(type(error)):
            work()
    assert list(tmp_path.iterdir()) == []


def test_what_was_moved_away_stays(tmp_path):
    with place_beside(tmp_path / "target") as path:
        path.write_text("content")
        path.rename(tmp_path / "target")
    assert [one.name for one in tmp_path.iterdir()] == ["target"]


def test_a_scratch_folder_is_for_this_user_alone_and_vanishes(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch_folder("export") as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and folder.parent == tmp_path
        (folder / "deep").mkdir()
        (folder / "deep" / "file").touch()
    assert list(tmp_path.iterdir()) == []


def test_the_next_process_removes_what_a_dead_one_left(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    dead = [left_by_the_dead(tmp_path / "target")]
    dead.append(tmp_path / "scratch" / dead[0].name.replace(".target", "spair-gate", 1))
    for path in dead:
        path.mkdir()
    with place_beside(tmp_path / "target"), scratch_folder("export"):
        assert not any(path.exists() for path in dead)


def test_a_cleaning_that_is_interrupted_begins_again():
    calls = []

    def clean():
        calls.append(True)
        if len(calls) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finish(clean)
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("error", "free", "told"),
    [
        (OSError(errno.ENOSPC, "full"), 0, True),
        (OSError(errno.ENOSPC, "full"), ROOM, False),  # another disk
        (OSError(errno.ENOSPC, "full", "IN/file"), ROOM, True),  # no room for names
        (OSError(errno.ENOSPC, "full", "/elsewhere/file"), 0, False),
        (OSError(errno.EDQUOT, "quota"), ROOM, True),
        (ValueError("a file of a library was cut short"), 0, True),
        (ValueError("a bug"), ROOM, False),
        (KeyboardInterrupt(), 0, False),
    ],
    ids=["unnamed", "unnamed with room", "names", "elsewhere", "quota", "cut short", "bug", "Ctrl-C"],
)
def test_a_full_folder_for_temporary_files_is_named(tmp_path, monkeypatch, error, free, told):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=free))
    if getattr(error, "filename", None) == "IN/file":
        error.filename = str(tmp_path / "spair-x" / "file")
    with pytest.raises(BaseException) as found, scratch_folder("export"):
        raise error
    assert isinstance(found.value, ScratchError) == told and (told or found.value is error)
    if told:
        failure = explain(found.value, "export")
        assert failure.code == 2 and f"{tmp_path} is full; free space there, or name a folder" in failure.sentence
    assert list(tmp_path.iterdir()) == []


def test_errors_for_users_keep_their_own_reason_on_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=0))
    with pytest.raises(ScratchError, match="inner"), scratch_folder("outer"):
        raise ScratchError("inner")


def test_no_folder_for_temporary_files_is_a_sentence(monkeypatch):
    def fail():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", fail)
    with pytest.raises(
        ScratchError, match=r"no folder .* \(No usable .*\); free space in one of them, or name another"
    ):
        scratch_folder("export").__enter__()

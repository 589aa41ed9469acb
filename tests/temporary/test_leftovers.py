"""Leftovers of dead processes are removed, and nothing else."""

import os
import tempfile
import time

import pytest

from spair.temporary.leftovers import (
    UNTOUCHED,
    is_abandoned,
    list_temporary,
    remove,
    remove_beside,
    settle,
    sweep,
    sweep_scratch,
)
from spair.temporary.names import BACKUP, name_beside, name_scratch
from tests.temporary.dead import left_by_the_dead, left_elsewhere

MINE = ["a.png", ".a.png.tmp", ".a.png.notes.tmp", ".a.png.0123456789ab.tmp", "spair-export", "spair-export.tmp"]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def make_mixture(folder):
    """Fill a folder; return what must stay and what may go."""
    target = folder / "a.png"
    stay = [folder / name for name in MINE] + [name_beside(target), left_elsewhere(target)]
    stay += [left_by_the_dead(target, BACKUP)]
    go = [left_by_the_dead(target), left_by_the_dead(folder / "gone")]
    for path in (*stay, *go):
        path.touch()
    go.append(left_by_the_dead(folder / "bundle"))
    (go[-1] / "deep" / "er").mkdir(parents=True)
    (go[-1] / "deep" / "er" / "file").touch()
    return stay, go


def test_a_sweep_takes_what_the_dead_left_and_nothing_else(tmp_path):
    stay, _ = make_mixture(tmp_path)
    sweep(tmp_path)
    assert names(tmp_path) == sorted(path.name for path in stay)


def test_a_folder_is_swept_once(tmp_path):
    sweep(tmp_path)
    left = left_by_the_dead(tmp_path / "a")
    left.touch()
    sweep(tmp_path)
    assert left.exists()
    sweep(tmp_path, again=True)
    assert not left.exists()


def test_a_sweep_of_no_folder_is_none(tmp_path):
    (tmp_path / "file").touch()
    sweep(tmp_path / "absent")
    sweep(tmp_path / "file")
    assert names(tmp_path) == ["file"]


def test_a_link_is_removed_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    left_by_the_dead(tmp_path / "a").symlink_to(tmp_path / "precious")
    sweep(tmp_path)
    assert names(tmp_path) == ["precious"] and names(tmp_path / "precious") == ["file"]


def test_scratch_folders_of_the_dead_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    living = tmp_path / name_scratch("export")
    dead = left_by_the_dead(tmp_path / "x").name.replace(".x.", "spair-gate.", 1)
    for folder in (living, tmp_path / dead, tmp_path / "spair-mine"):
        folder.mkdir()
    sweep_scratch()
    assert names(tmp_path) == sorted([living.name, "spair-mine"])


def test_no_place_for_temporary_files_is_no_error(monkeypatch):
    def refuse():
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", refuse)
    sweep_scratch()


def test_what_cannot_be_asked_is_abandoned_after_a_day_without_a_touch(tmp_path):
    folder = left_elsewhere(tmp_path / "a")
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "file").touch()
    old = time.time() - UNTOUCHED - 60
    for path in (folder, folder / "sub"):
        os.utime(path, (old, old))
    (found,) = list_temporary(tmp_path)
    assert found.alive is None and not is_abandoned(found), "something in it is new"
    os.utime(folder / "sub" / "file", (old, old))
    assert is_abandoned(found)


@pytest.mark.parametrize("left", [left_by_the_dead, left_elsewhere])
def test_a_folder_that_was_taken_away_is_put_back(tmp_path, left):
    target, taken = tmp_path / "a", left(tmp_path / "a", BACKUP)
    taken.mkdir()
    (taken / "old").touch()
    left_by_the_dead(target).mkdir()
    settle(target)
    assert names(tmp_path) == ["a"] and names(target) == ["old"]


def test_an_older_folder_is_removed_once_the_new_one_is_there(tmp_path):
    target = tmp_path / "a"
    target.mkdir()
    left_by_the_dead(target, BACKUP).mkdir()
    kept = [name_beside(target), left_by_the_dead(tmp_path / "ab")]
    for path in kept:
        path.mkdir()
    settle(target)
    assert names(tmp_path) == sorted(["a", *(path.name for path in kept)])


def test_temporary_files_of_named_targets_are_removed_whoever_made_them(tmp_path):
    stay, _ = make_mixture(tmp_path)
    remove_beside([tmp_path / "a.png", tmp_path / "none" / "a.png"])
    found = set(names(tmp_path))
    assert set(MINE) < found and not any(path.name in found for path in stay[len(MINE) : -1])
    assert stay[-1].name in found, "an older folder is no temporary file"


def test_what_cannot_be_removed_is_said(tmp_path, monkeypatch):
    assert remove(tmp_path / "absent")
    (tmp_path / "file").touch()
    assert remove(tmp_path / "file" / "below"), "there is none"

    def refuse(self, missing_ok=False):
        raise PermissionError

    monkeypatch.setattr(type(tmp_path), "unlink", refuse)
    assert not remove(tmp_path / "file")

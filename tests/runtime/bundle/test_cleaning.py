"""A cleaning takes what the dead left, wherever it is told to look, and says what it did."""

import os
import tempfile
import time

import pytest

from spair.runtime import UserError
from spair.runtime.bundle import cleaning
from spair.runtime.bundle.cleaning import clean, list_abandoned
from spair.runtime.bundle.lock import lock_bundle
from spair.temporary.leftovers import UNTOUCHED
from spair.temporary.names import BACKUP, name_beside
from tests.temporary.dead import left_by_the_dead, left_elsewhere


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Make all places that are looked into, each with one leftover below it; return their names."""
    found = {name: tmp_path / name for name in ("scratch", "here", "cache", "given")}
    for folder in found.values():
        (folder / "sub").mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(found["scratch"]))
    monkeypatch.setenv("SPAIR_CACHE", str(found["cache"]))
    monkeypatch.chdir(found["here"])
    return found


def test_all_places_are_looked_into(places):
    shallow = [places[name] for name in ("scratch", "here")]
    deep = [places["cache"] / "sub", places["given"] / "sub"]
    go = [left_by_the_dead(folder / "a") for folder in (*shallow, *deep)]
    stay = [left_by_the_dead(folder / "sub" / "a") for folder in shallow]
    for path in (*go, *stay):
        path.touch()
    assert sorted(list_abandoned([places["given"]])) == sorted(map(str, go))
    report = clean([places["given"]])
    assert sorted(report.removed) == sorted(map(str, go)) and not report.kept and not report.failed
    assert report.folders == [str(folder) for folder in (*shallow, places["cache"], places["given"])]
    assert all(path.exists() for path in stay) and not any(path.exists() for path in go)


def test_what_somebody_may_work_on_is_kept_with_the_reason(places):
    living, foreign = name_beside(places["here"] / "a"), left_elsewhere(places["here"] / "b")
    living.touch()
    foreign.touch()
    reasons = {one["path"]: one["reason"] for one in clean().kept}
    assert reasons[str(living)] == f"the process {os.getpid()} works on it"
    assert "on another machine" in reasons[str(foreign)]
    old = time.time() - UNTOUCHED - 60
    os.utime(foreign, (old, old))
    assert clean().removed == [str(foreign)] and living.exists()


def test_a_folder_that_was_taken_away_is_put_back(places):
    taken = left_by_the_dead(places["given"] / "rain.spair", BACKUP)
    taken.mkdir()
    (taken / "manifest.json").touch()
    target = places["given"] / "rain.spair"
    report = clean([places["given"]])
    assert report.put_back == [str(target)] and (target / "manifest.json").exists()
    assert list(places["given"].glob(".*")) == []


def test_lock_files_that_nobody_holds_are_removed(places):
    given = places["given"]
    for name in (".gone.spair.lock", ".other.lock", ".full.spair.lock"):
        (given / name).write_text("1" if "full" in name else "")
    (places["cache"] / ".trusted.json.lock").touch()
    with lock_bundle(given / "held.spair"):
        removed = clean([given]).removed
        assert (given / ".held.spair.lock").exists()
    assert sorted(removed) == sorted(map(str, (places["cache"] / ".trusted.json.lock", given / ".gone.spair.lock")))
    assert (given / ".other.lock").exists() and (given / ".full.spair.lock").exists()


def test_what_cannot_be_removed_is_told(places, monkeypatch):
    left = left_by_the_dead(places["here"] / "a")
    left.touch()
    monkeypatch.setattr(cleaning, "remove", lambda path: False)
    assert clean().failed == [{"path": str(left), "reason": "it could not be removed; see who owns it"}]


def test_without_a_home_there_is_no_cache_to_look_into(places, monkeypatch):
    def refuse():
        raise UserError("no home")

    monkeypatch.setattr(cleaning, "cache_folder", refuse)
    assert str(places["cache"]) not in clean().folders


def test_a_folder_that_is_absent_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"cannot look for leftovers in .*absent: it is not a folder"):
        clean([tmp_path / "absent"])

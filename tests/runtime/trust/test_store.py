"""The list of trusted files is the user's alone, is written whole, and a damaged one is no empty one."""

import json
import stat
import threading

import pytest

from spair.runtime import UserError
from spair.runtime.bundle.lock import lock_bundle
from spair.runtime.trust import store
from spair.runtime.trust.store import (
    describe_trusted,
    forget_digests,
    list_trusted,
    trust_digests,
    trust_files,
    trusted_list,
)
from tests.patience import PATIENCE

A, B, C = ("a" * 64, "b" * 64, "c" * 64)


def test_without_a_list_nothing_is_trusted_and_nothing_is_written(cache):
    assert list_trusted() == {} and not cache.exists()


def test_digests_are_added_once_and_taken_off(cache):
    assert trust_digests({A: "one.so"}) == {A: "one.so"}
    assert trust_digests({A: "other.so", B: "two.engine"}) == {B: "two.engine"}
    assert list_trusted() == {A: "one.so", B: "two.engine"}
    assert forget_digests([A, C]) == [A]
    assert list_trusted() == {B: "two.engine"}


def test_files_are_trusted_by_content_alone(cache, tmp_path):
    file = tmp_path / "libspair_plugins.so"
    file.write_bytes(b"code")
    (digest,) = trust_files([file])
    assert list_trusted() == {digest: "libspair_plugins.so"}
    assert trust_files([str(file)]) == {}, "a path as text"
    file.write_bytes(b"changed")
    assert trust_files([file]).keys() != {digest}


def test_list_and_folder_are_for_this_user_alone(cache):
    trust_digests({A: "one.so"})
    assert stat.S_IMODE(trusted_list().stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    trust_digests({B: "two.so"})
    assert [path.name for path in cache.iterdir()] == ["trusted.json"], "neither a lock nor a temporary file is left"
    assert stat.S_IMODE(trusted_list().stat().st_mode) == 0o600


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_list_that_others_can_write_is_neither_read_nor_extended(cache, what):
    trust_digests({A: "one.so"})
    place = trusted_list() if what == "file" else cache
    place.chmod(0o777)
    for act in (list_trusted, lambda: trust_digests({B: "two.so"}), lambda: forget_digests([A])):
        with pytest.raises(UserError, match=f"{place} says what may run .* run: chmod go-w {place}"):
            act()
    place.chmod(0o700)
    assert list_trusted() == {A: "one.so"}


def test_a_link_is_not_followed(cache, tmp_path):
    trust_digests({A: "one.so"})
    trusted_list().rename(tmp_path / "elsewhere.json")
    trusted_list().symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(UserError, match="cannot read the list of trusted files .*expected a file of your own"):
        list_trusted()


def test_reports_name_place_number_and_what_is_wrong(cache, monkeypatch):
    assert describe_trusted() == {"list": str(trusted_list()), "files": 0, "reason": None}
    trust_digests({A: "one.so", B: "two.so"})
    assert describe_trusted() == {"list": str(trusted_list()), "files": 2, "reason": None}
    cache.chmod(0o777)
    assert describe_trusted()["files"] == 0 and f"chmod go-w {cache}" in describe_trusted()["reason"]

    def fail():
        raise UserError("no home")

    monkeypatch.setattr(store, "cache_folder", fail)
    assert describe_trusted() == {"list": None, "files": 0, "reason": "no home"}


DAMAGED = {
    "empty": "",
    "no JSON": "{",
    "no table": "[]",
    "no list": json.dumps({"schema": 1}),
    "a newer form": json.dumps({"schema": 2, "trusted": {}}),
    "no digest": json.dumps({"schema": 1, "trusted": {"abc": "x.so"}}),
    "no name": json.dumps({"schema": 1, "trusted": {A: None}}),
    "a list of digests": json.dumps({"schema": 1, "trusted": [A]}),
    "deep": "[" * 200_000,
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_list_is_one_sentence_and_stays_as_it_is(cache, text):
    trust_digests({A: "one.so"})
    trusted_list().write_text(text)
    for act in (list_trusted, lambda: trust_digests({B: "two.so"})):
        with pytest.raises(UserError, match="is damaged .*; delete it, and trust again"):
            act()
    assert trusted_list().read_text() == text


def test_a_digest_of_another_form_is_a_bug(cache):
    with pytest.raises(ValueError, match="is not a SHA-256"):
        trust_digests({A.upper(): "one.so"})


def test_a_writer_waits_for_the_one_that_writes(cache, monkeypatch):
    trust_digests({A: "one.so"})
    waits, lock = threading.Event(), store.lock_bundle

    def tell(path):
        waits.set()
        return lock(path)

    monkeypatch.setattr(store, "lock_bundle", tell)
    thread = threading.Thread(target=trust_digests, args=({B: "two.so"},))
    with lock_bundle(trusted_list()):
        thread.start()
        assert waits.wait(PATIENCE)
        assert list_trusted() == {A: "one.so"}
    thread.join(PATIENCE)
    assert list_trusted() == {A: "one.so", B: "two.so"}


def test_a_failure_leaves_the_old_list(cache, monkeypatch):
    trust_digests({A: "one.so"})

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.json, "dumps", fail)
    with pytest.raises(UserError, match="cannot write the list of trusted files .*No space left on device"):
        trust_digests({B: "two.so"})
    monkeypatch.undo()
    monkeypatch.setenv("SPAIR_CACHE", str(cache))
    assert list_trusted() == {A: "one.so"}


def test_a_cache_that_is_a_file_is_one_sentence(cache):
    cache.touch(mode=0o600)
    with pytest.raises(UserError, match="cannot write the list of trusted files .*; set SPAIR_CACHE"):
        trust_digests({A: "one.so"})

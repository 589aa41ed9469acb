"""The cache never gives back anything but what was stored under the very key."""

import signal
import subprocess
import sys

import pytest

from spair.plugins.compiler.cache import Cache, hash_files, make_key
from spair.plugins.errors import PluginError

PARTS = {"code": bytes(range(256)) * 10, "empty": b"", "text": "é".encode()}


def test_parts_come_back_as_they_were(tmp_path):
    cache = Cache(tmp_path / "not yet")
    assert cache.load("key") is None
    cache.store("key", PARTS)
    assert cache.load("key") == PARTS
    assert cache.load("other") is None
    assert [path.name for path in (tmp_path / "not yet").iterdir()] == ["key.zip"], "no temporary file is left"


def test_storing_again_replaces(tmp_path):
    cache = Cache(tmp_path)
    cache.store("key", PARTS)
    cache.store("key", {"code": b"new"})
    assert cache.load("key") == {"code": b"new"}


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-30], lambda data: data[:60] + b"\0" * 8 + data[68:], lambda data: b""]
)
def test_a_damaged_entry_is_as_good_as_none(tmp_path, damage):
    cache = Cache(tmp_path)
    cache.store("key", {"code": bytes(range(256))})
    file = tmp_path / "key.zip"
    file.write_bytes(damage(file.read_bytes()))
    assert cache.load("key") is None


KILLED = """
import os, signal, sys, zipfile
from pathlib import Path
from spair.plugins.compiler.cache import Cache

zipfile.ZipFile.close = lambda archive: os.kill(os.getpid(), signal.SIGKILL)
Cache(Path(sys.argv[1])).store("key", {"code": b"new"})
"""


def test_a_process_that_is_killed_leaves_what_was_kept_before(tmp_path):
    cache = Cache(tmp_path)
    cache.store("key", {"code": b"old"})
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert cache.load("key") == {"code": b"old"}
    cache.store("key", {"code": b"newest"})
    assert cache.load("key") == {"code": b"newest"}


def test_what_was_dropped_is_gone_and_the_rest_stays(tmp_path):
    cache = Cache(tmp_path)
    cache.store("a", {"part": b"1"})
    cache.store("b", {"part": b"2"})
    for _ in range(2):
        cache.drop("a")
    assert cache.load("a") is None and cache.load("b") == {"part": b"2"}
    Cache(None).drop("a")


def test_a_result_that_cannot_be_dropped_is_told(tmp_path):
    (tmp_path / "a.zip").mkdir()
    with pytest.raises(PluginError, match=r"cannot remove .*a\.zip: .*; remove it yourself"):
        Cache(tmp_path).drop("a")


def test_without_a_folder_nothing_is_kept():
    Cache().store("key", PARTS)
    assert Cache().load("key") is None


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        PluginError, match="cannot keep compiled kernels in .*file/inside: .*; set SPAIR_CACHE .* --no-cache"
    ):
        Cache(tmp_path / "file" / "inside").store("key", PARTS)


def test_keys_depend_on_every_value_and_not_on_the_order():
    facts = {"a": 1, "b": {"c": [1, 2]}}
    assert make_key(facts) == make_key({"b": {"c": [1, 2]}, "a": 1})
    assert (
        len({make_key(facts), make_key({**facts, "a": 2}), make_key({**facts, "b": {"c": [2, 1]}}), make_key({})}) == 4
    )


def test_files_are_hashed_by_content(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("x")
    hashes = hash_files({"first": tmp_path / "a", "second": tmp_path / "b"})
    assert hashes["first"] == hashes["second"]
    (tmp_path / "b").write_text("y")
    assert hash_files({"second": tmp_path / "b"})["second"] != hashes["second"]

"""No code of a bundle runs before it was trusted, and what was checked is what runs."""

import ctypes
import os
import re
import shutil
import stat
import subprocess

import pytest

from spair.runtime import UserError
from spair.runtime.bundle.reader import Bundle
from spair.runtime.trust.checking import check_trusted, library_folder, read_trusted, take_library
from spair.runtime.trust.store import trust_digests, trust_files
from tests.runtime.trust.conftest import ENGINE, LIBRARY


def test_checks_of_a_strangers_bundle_run_nothing_of_it(evil):
    bundle = Bundle.open(evil.bundle.path)
    bundle.contents()
    for check in (
        lambda: check_trusted([evil.library, evil.engine], bundle=bundle.path),
        lambda: take_library(evil.library, bundle=bundle.path),
        lambda: read_trusted(evil.engine, bundle=bundle.path),
    ):
        with pytest.raises(UserError, match="holds code that was not built on this machine"):
            check()
    assert not evil.witness.exists()
    assert evil.load(evil.library), "its code would have run"


def test_the_refusal_names_files_digests_and_both_ways(evil):
    files, path = evil.bundle.manifest.files, evil.bundle.path
    words = (
        f"the bundle {path} holds code that was not built on this machine: {LIBRARY} (SHA-256 {files[LIBRARY][:12]}…), "
        f"{ENGINE} (SHA-256 {files[ENGINE][:12]}…); it would run with your rights, so nothing of it was loaded; "
    )
    with pytest.raises(UserError, match=re.escape(words) + f".*run: spair trust {path}, or give --trust-code"):
        check_trusted([evil.library, evil.engine], bundle=path)


def test_only_what_is_not_trusted_is_named(evil):
    trust_files([evil.library])
    check_trusted([evil.library], bundle=evil.bundle.path)
    with pytest.raises(UserError) as refusal:
        check_trusted([evil.library, evil.engine], bundle=evil.bundle.path)
    assert ENGINE in str(refusal.value) and LIBRARY not in str(refusal.value)


def test_a_trusted_library_runs_from_its_private_copy(evil, cache):
    trust_files([evil.library])
    copy = take_library(evil.library, bundle=evil.bundle.path)
    digest = evil.bundle.manifest.files[LIBRARY]
    assert copy == cache / "libraries" / digest / "libspair_plugins.so"
    assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o700 and stat.S_IMODE(copy.stat().st_mode) == 0o500
    assert not evil.witness.exists(), "copying runs nothing"
    assert evil.load(copy)


def test_folders_and_files_are_private_whatever_the_umask(evil, cache):
    old = os.umask(0)
    try:
        trust_files([evil.library])
        copy = take_library(evil.library, bundle=evil.bundle.path)
    finally:
        os.umask(old)
    places = (copy.parent, copy.parent.parent, cache)
    assert [stat.S_IMODE(place.stat().st_mode) for place in places] == [0o700] * 3
    assert stat.S_IMODE((cache / "trusted.json").stat().st_mode) == 0o600
    assert take_library(evil.library, bundle=evil.bundle.path) == copy


def test_a_library_that_is_replaced_after_the_check_does_not_run(evil):
    code = evil.library.read_bytes()
    harmless = evil.library.with_name("harmless.so")
    subprocess.run(["gcc", "-x", "c", "-shared", "-", "-o", str(harmless)], input=b"int x;", check=True)
    trust_files([harmless])
    shutil.copyfile(harmless, evil.library)
    copy = take_library(evil.library, bundle=evil.bundle.path)
    evil.library.write_bytes(code)
    assert not evil.load(copy)
    with pytest.raises(UserError, match="not built on this machine"):
        take_library(evil.library, bundle=evil.bundle.path)


def test_a_copy_is_used_again_and_a_damaged_one_is_made_anew(evil):
    trust_files([evil.library])
    copy = take_library(evil.library, bundle=evil.bundle.path)
    first = copy.stat().st_ino
    assert take_library(evil.library, bundle=evil.bundle.path).stat().st_ino == first
    copy.chmod(0o700)
    copy.write_bytes(b"damaged")
    assert take_library(evil.library, bundle=evil.bundle.path).read_bytes() == evil.library.read_bytes()


def test_a_copy_that_others_could_replace_is_refused(evil, cache):
    trust_files([evil.library])
    copy = take_library(evil.library, bundle=evil.bundle.path)
    for place in (copy.parent, copy.parent.parent, copy):
        old = stat.S_IMODE(place.stat().st_mode)
        place.chmod(0o777)
        with pytest.raises(UserError, match=f"chmod go-w {place}"):
            take_library(evil.library, bundle=evil.bundle.path)
        place.chmod(old)
    assert take_library(evil.library, bundle=evil.bundle.path) == copy


def test_a_link_in_place_of_the_copy_is_replaced(evil):
    trust_files([evil.library])
    copy = library_folder(evil.bundle.manifest.files[LIBRARY]) / evil.library.name
    for place in (copy.parent.parent, copy.parent):
        place.mkdir(mode=0o700)
    copy.symlink_to(evil.library)
    assert take_library(evil.library, bundle=evil.bundle.path) == copy and not copy.is_symlink()


def test_an_engine_is_handed_over_as_it_was_checked(evil, monkeypatch):
    trust_files([evil.engine])
    reads = []
    monkeypatch.setattr(type(evil.engine), "read_bytes", lambda path: reads.append(path) or b"plan")
    assert read_trusted(evil.engine, bundle=evil.bundle.path) == b"plan"
    assert reads == [evil.engine], "read once"


def test_an_engine_of_another_content_is_refused(evil):
    trust_files([evil.engine])
    evil.engine.write_bytes(b"other")
    with pytest.raises(UserError, match="not built on this machine: engines/l4/fp16.engine"):
        read_trusted(evil.engine, bundle=evil.bundle.path)


def test_trust_for_this_once_keeps_nothing(evil, cache):
    assert take_library(evil.library, bundle=evil.bundle.path, trust_code=True) == evil.library
    assert read_trusted(evil.engine, bundle=evil.bundle.path, trust_code=True) == b"plan"
    assert not cache.exists()


def test_a_list_that_others_can_write_refuses_all(evil, cache):
    trust_files([evil.library])
    cache.chmod(0o777)
    with pytest.raises(UserError, match=f"chmod go-w {cache}"):
        take_library(evil.library, bundle=evil.bundle.path)


def test_a_cache_without_room_is_one_sentence(evil, cache):
    trust_files([evil.library])
    (cache / "libraries").write_text("no folder")
    with pytest.raises(UserError, match="cannot copy the library .*; set SPAIR_CACHE"):
        take_library(evil.library, bundle=evil.bundle.path)


def test_neighbours_of_a_library_in_the_bundle_are_not_beside_its_copy(evil):
    """A library may ask for others in its own folder, which nobody trusted."""
    wanted = evil.library.with_name("libneighbour.so")
    shutil.copyfile(evil.library, wanted)
    asking = evil.library.with_name("libasking.so")
    link = ["-Wl,--no-as-needed", f"-L{wanted.parent}", "-lneighbour", "-Wl,-rpath,$ORIGIN"]
    subprocess.run(["gcc", "-x", "c", "-shared", "-", "-o", str(asking), *link], input=b"int y;", check=True)
    assert evil.load(asking)
    evil.witness.unlink()
    trust_files([asking])
    with pytest.raises(OSError, match="libneighbour.so"):
        ctypes.CDLL(str(take_library(asking, bundle=evil.bundle.path)))
    assert not evil.witness.exists()


def test_paths_outside_of_the_bundle_are_named_whole(evil, tmp_path):
    other = tmp_path / "other.engine"
    other.write_bytes(b"x")
    with pytest.raises(UserError, match=f"not built on this machine: {other} "):
        check_trusted([other], bundle=evil.bundle.path)
    trust_digests({})

"""The kernels are compiled once, completely or not at all, and failures are sentences."""

import os
import subprocess
import threading

import pytest

from spair.runtime.cpu.library import compiling
from spair.runtime.cpu.library.compiling import (
    FLAGS,
    KERNELS,
    SOURCES,
    CompilerError,
    build_library,
    compile_library,
    hash_sources,
    knows_flags,
    read_version,
)
from spair.runtime.cpu.library.sets import InstructionSet, list_local_sets, list_sets
from spair.runtime.errors import UserError


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def program(monkeypatch, tmp_path):
    """Function that puts a shell script in the compiler's place; it counts its calls in the file `calls`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    def put(body: str, version: str = "1"):
        script = folder / "g++"
        answer = f'[ "$1" = --version ] && {{ echo fake {version}; exit 0; }}\necho x >> {tmp_path}/calls\n'
        script.write_text(f"#!/bin/sh\n{answer}{body}\n")
        script.chmod(0o700)
        return tmp_path / "calls"

    return put


WRITE = 'for last; do :; done; echo made > "$last"'
"""Writes to the last argument, the output."""


def test_the_library_is_compiled_once_for_each_key(cache, program, monkeypatch):
    calls = program(WRITE)
    first = compile_library()
    count = len(calls.read_text().split())
    assert first.read_text() == "made\n" and first.parent == cache / "kernels"
    assert compile_library() == first and len(calls.read_text().split()) == count
    program(WRITE, version="2")
    second = compile_library()
    assert second != first
    monkeypatch.setattr(compiling, "list_local_sets", lambda: (InstructionSet("other", "Other", ("-mother",)),))
    third = compile_library()
    monkeypatch.setattr(compiling, "FLAGS", ("-O1",))
    assert len({first, second, third, compile_library()}) == 4
    assert {path.name for path in (cache / "kernels").iterdir()} >= {first.name, second.name, third.name}


def test_one_process_compiles_while_others_wait(cache, program, caplog):
    """Threads stand for processes: each has its own descriptor of the lock's file."""
    calls = program(f"sleep 0.2; {WRITE}")
    found = []
    threads = [threading.Thread(target=lambda: found.append(compile_library())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and len(set(found)) == 1
    sets = list_local_sets()
    assert len(calls.read_text().split()) == len(sets) + sum(one.recent for one in sets) + 2, (
        "a source for each set, a question for each recent one, the shared source, and the linker"
    )
    assert "compiling the kernels of the backend cpu with " in caplog.text and "once for this machine" in caplog.text
    caplog.clear()
    compile_library()
    assert caplog.text == ""
    assert [path.name for path in (cache / "kernels").iterdir()] == [found[0].name], "no lock stays behind"


def test_the_key_follows_every_source(monkeypatch, tmp_path):
    sources = hash_sources()
    assert {"cpu/pool.cpp", "cpu/kernels.cpp", "cpu/products.h", "sparse_conv2d/cpu.h", "compaction/cpu.h"} <= set(
        sources
    )
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "pool.cpp").write_text("a")
    (tmp_path / "cpu" / "kernels.cpp").write_text("b")
    monkeypatch.setattr(compiling, "SOURCES", tmp_path)
    before = hash_sources()
    (tmp_path / "cpu" / "vectors.h").write_text("c")
    assert hash_sources() != before


def test_without_a_compiler(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"no C\+\+ compiler \(g\+\+, clang\+\+ or c\+\+\).*--backend onnxruntime"):
        compile_library()
    assert not cache.exists()


def test_a_compiler_that_is_killed(cache, program):
    program("kill -9 $$")
    with pytest.raises(CompilerError, match=r"was ended by SIGKILL while it compiled.*more free memory"):
        compile_library()
    assert list((cache / "kernels").iterdir()) == []


def test_a_compiler_that_fails(cache, program):
    program("echo 'x.cpp:1: error: unknown thing' >&2; exit 1")
    with pytest.raises(CompilerError, match=r"cannot compile the kernels.*error: unknown thing; expected GCC 9"):
        compile_library()
    assert list((cache / "kernels").iterdir()) == []


def test_a_compiler_that_does_not_run(cache, tmp_path, compiler):
    with pytest.raises(CompilerError, match="does not run"):
        build_library(str(tmp_path / "absent"), [], tmp_path / "out.so")
    with pytest.raises(CompilerError, match="does not run"):
        read_version(str(tmp_path / "absent"))


def test_the_first_failure_ends_the_others(cache, program):
    """One object fails at once; the others would take a minute."""
    program('case "$*" in *pool.cpp*) exec sleep 60;; *) echo "error: no" >&2; exit 1;; esac')
    with pytest.raises(CompilerError, match="error: no"):
        compile_library()


def test_a_cache_that_is_a_file(monkeypatch, tmp_path, program):
    program(WRITE)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot keep the kernels of the backend cpu in the cache.*set SPAIR_CACHE"):
        compile_library()


def test_a_set_that_the_compiler_does_not_know_is_left_out(compiler, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(compiling, "_run_all", lambda commands, folder: asked.extend(commands))
    sets = [InstructionSet("later", "Later", ("-mlater",), recent=True), InstructionSet("sse2", "SSE2")]
    build_library(compiler, sets, tmp_path / "out.so")
    assert [word for command in asked for word in command if word.startswith("-DSPAIR_SET")] == ["-DSPAIR_SET=sse2"]


@pytest.mark.parametrize("one", list_sets(), ids=lambda one: one.name)
def test_the_sources_fit_every_set(compiler, one):
    """Nothing is run or kept, so that sets count which this processor lacks."""
    if not knows_flags(compiler, one.flags):
        pytest.skip(f"the instruction set {one.name} is newer than the compiler that is installed")
    command = [compiler, *FLAGS, *one.flags, f"-DSPAIR_SET={one.name}", "-fsyntax-only", str(SOURCES / KERNELS)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

"""The library beside the code is that of these sources, or it is none."""

import platform

import pytest

from spair.runtime.cpu.library import ready
from spair.runtime.cpu.library.ready import find_cross_compiler, find_ready, make_ready, name_ready
from spair.runtime.errors import UserError


@pytest.fixture
def build(monkeypatch):
    """Calls of a compiler that writes a word."""
    calls = []

    def write(compiler, sets, target):
        calls.append([one.name for one in sets])
        target.write_text("library")

    monkeypatch.setattr(ready, "build_library", write)
    monkeypatch.setattr(ready, "find_cross_compiler", lambda machine: "compiler")
    return calls


def test_a_library_is_found_in_an_installation_and_in_a_checkout(build, monkeypatch, tmp_path):
    for name in ("INSTALLED", "BUILT"):
        monkeypatch.setattr(ready, name, tmp_path / name)
    assert find_ready() is None
    for name in ("BUILT", "INSTALLED"):
        made = make_ready(platform.machine(), tmp_path / name)
        assert find_ready() == made and made.parent == tmp_path / name


def test_a_library_of_other_sources_is_not_found_and_goes(build, monkeypatch, tmp_path):
    monkeypatch.setattr(ready, "INSTALLED", tmp_path)
    old = make_ready(platform.machine(), tmp_path)
    other = make_ready("riscv64", tmp_path)
    monkeypatch.setattr(ready, "hash_sources", lambda: {"cpu/pool.cpp": "changed"})
    assert find_ready() is None
    new = make_ready(platform.machine(), tmp_path)
    assert new != old and sorted(tmp_path.iterdir()) == sorted([new, other]) and find_ready() == new


def test_it_is_compiled_once_with_the_sets_of_its_architecture(build, tmp_path):
    first = make_ready("aarch64", tmp_path)
    assert make_ready("arm64", tmp_path) == first and build == [["neonbf16", "neondot", "neon"]]
    assert name_ready("arm64") == name_ready("aarch64") != name_ready("x86_64") == name_ready("AMD64")


def test_without_a_compiler_the_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    other = "aarch64" if platform.machine() == "x86_64" else "x86_64"
    assert find_cross_compiler(other) is None
    with pytest.raises(UserError, match=rf"no C\+\+ compiler for {other}; .*g\+\+-{other.replace('_', '-')}-linux-gnu"):
        make_ready(other, tmp_path)


def test_a_folder_that_cannot_be_made_is_said(build, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write the kernels of the backend cpu to .*file"):
        make_ready("x86_64", tmp_path / "file")

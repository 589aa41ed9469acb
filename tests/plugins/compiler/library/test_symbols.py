"""Symbols of libraries: what a target can load, and what of a built library it has to."""

import shutil
import subprocess
from pathlib import Path

import pytest

from spair.plugins.compiler.library import symbols as symbols_module
from spair.plugins.compiler.library.symbols import check_symbols, read_symbols
from spair.plugins.compiler.targets import TARGETS, find_target
from spair.plugins.errors import PluginError
from tests.plugins.conftest import HOST_TARGET

GOOD = 'extern "C" int getCreators() { return 0; } extern "C" void setLoggerFinder() {}'
"""Source of a library with both entry points."""


def make_library(path: Path, source: str, *options: str, compiler: str = "g++") -> Path:
    """A shared library from a few lines of C++."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    command = [compiler, "-x", "c++", "-shared", "-fPIC", "-", "-x", "none", "-o", str(path), *options]
    subprocess.run(command, input=source.encode(), check=True)
    return path


def test_nothing_of_tensorrt_and_cuda_is_undefined(plugins):
    symbols = read_symbols(plugins.path)
    foreign = [
        name for name in symbols.undefined if name.lower().startswith(("cu", "_zn8nvinfer1", "nv", "getpluginreg"))
    ]
    assert foreign == []
    assert all(
        name.startswith(("libc.", "libm.", "libstdc++.", "libgcc_s.", "libdl.", "ld-linux")) for name in symbols.needed
    )


def test_only_entry_points_are_exported(plugins):
    exported = {name for name in read_symbols(plugins.path).defined if not name.startswith("_Z")}
    assert {"getCreators", "setLoggerFinder"} <= exported
    assert all(name in ("getCreators", "setLoggerFinder") or name.startswith("spair_plugins_") for name in exported)


def test_no_symbol_is_shared_with_other_libraries_of_the_process(plugins):
    """Unique symbols would keep a library in the process forever, and share objects with another build of it."""
    listed = subprocess.run(
        ["readelf", "--wide", "--dyn-syms", plugins.path], capture_output=True, text=True, check=True
    )
    assert "getCreators" in listed.stdout
    assert " UNIQUE " not in listed.stdout


def test_readelf_is_named_where_it_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(PluginError, match="readelf, which is not installed; apt-get install binutils"):
        read_symbols(tmp_path)


def test_a_library_with_both_entry_points_is_taken(tmp_path):
    library = make_library(tmp_path / "good.so", GOOD)
    check_symbols(library, HOST_TARGET)
    assert {"getCreators", "setLoggerFinder"} <= read_symbols(library).defined


@pytest.mark.parametrize(("kept", "lacking"), [(0, "setLoggerFinder"), (1, "getCreators")])
def test_a_library_without_an_entry_point_is_refused(tmp_path, kept, lacking):
    library = make_library(tmp_path / "lacks.so", 'extern "C"' + GOOD.split('extern "C"')[1 + kept])
    with pytest.raises(PluginError, match=rf"lacks\.so cannot run on host: it lacks {lacking}, which TensorRT calls"):
        check_symbols(library, HOST_TARGET)


def test_an_entry_point_that_is_only_called_does_not_count(tmp_path):
    called = 'extern "C" int getCreators(); extern "C" void setLoggerFinder() { getCreators(); }'
    library = make_library(tmp_path / "calls.so", called)
    assert "getCreators" in read_symbols(library).undefined
    with pytest.raises(PluginError, match="it lacks getCreators, which TensorRT calls"):
        check_symbols(library, HOST_TARGET)


def test_a_library_that_needs_another_one_is_refused(tmp_path):
    make_library(tmp_path / "libother.so", 'extern "C" int other() { return 0; }')
    needs = make_library(tmp_path / "needs.so", GOOD, f"-L{tmp_path}", "-Wl,--no-as-needed", "-lother")
    with pytest.raises(PluginError, match=r"needs libother\.so, expected none but libc\.so\.6"):
        check_symbols(needs, HOST_TARGET)


def test_a_file_that_is_no_library_is_refused(tmp_path):
    (tmp_path / "text.so").write_text("hello")
    with pytest.raises(PluginError, match="not a library that readelf can read"):
        read_symbols(tmp_path / "text.so")


LISTING = """ELF Header:
  Machine:                           {machine}
Dynamic section at offset 0x2e10 contains 24 entries:
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x0000000000000001 (NEEDED)             Shared library: [ld-linux-aarch64.so.1]
 0x000000000000000e (SONAME)             Library soname: [libspair_plugins.so]
Symbol table '.dynsym' contains 8 entries:
   Num:    Value          Size Type    Bind   Vis      Ndx Name
     1: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND memcpy@{newest} (3)
     2: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND free@GLIBC_2.2.5 (2)
     3: 0000000000000000     0 NOTYPE  WEAK   DEFAULT  UND __gmon_start__
     4: 0000000000001119    11 FUNC    LOCAL  DEFAULT   12 inner
     5: 0000000000001139    11 FUNC    GLOBAL DEFAULT   12 getCreators@@SPAIR_1
     6: 0000000000001144     7 FUNC    WEAK   DEFAULT   12 setLoggerFinder
"""
"""Text of readelf for a library of another processor, with symbols of every kind."""


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """Return a function that makes readelf print a listing."""

    def use(machine: str = "AArch64", newest: str = "GLIBC_2.17") -> Path:
        (tmp_path / "listing").write_text(LISTING.format(machine=machine, newest=newest))
        program = tmp_path / "readelf"
        program.write_text(f"#!/bin/sh\nexec /bin/cat {tmp_path}/listing\n")
        program.chmod(0o755)
        monkeypatch.setattr(symbols_module, "find_readelf", lambda: str(program))
        return tmp_path / "any.so"

    return use


def test_local_symbols_do_not_count_and_versions_belong_to_no_name(listed):
    symbols = read_symbols(listed())
    assert symbols.defined == {"getCreators", "setLoggerFinder"}
    assert symbols.undefined == {"memcpy@GLIBC_2.17", "free@GLIBC_2.2.5", "__gmon_start__"}
    assert symbols.needed == {"libc.so.6", "ld-linux-aarch64.so.1"}


@pytest.mark.parametrize(("newest", "taken"), [("GLIBC_2.4", True), ("GLIBC_2.35", True), ("GLIBC_2.36", False)])
def test_versions_of_the_c_library_are_compared_as_numbers(listed, newest, taken):
    """Compare with 2.35, which as text would come before 2.4."""
    target, path = find_target("jetson-orin-jp6"), listed(newest=newest)
    assert target.glibc == (2, 35)
    if taken:
        check_symbols(path, target)
        return
    with pytest.raises(PluginError, match=r"needs glibc 2\.36, jetson-orin-jp6 has 2\.35; build on an older system"):
        check_symbols(path, target)


@pytest.mark.parametrize(
    ("target", "newest", "taken"),
    [
        ("jetson-orin-jp6", "GLIBCXX_3.4.9", True),
        ("jetson-orin-jp6", "GLIBCXX_3.4.30", True),
        ("jetson-orin-jp6", "GLIBCXX_3.4.32", False),
        ("jetson-orin-jp7", "GLIBCXX_3.4.32", True),
        ("jetson-orin-jp7", "GLIBCXX_3.4.34", False),
        ("jetson-orin-jp7", "GLIBCXX_3.5", False),
    ],
)
def test_versions_of_the_cpp_library_are_compared_too(listed, target, newest, taken):
    path = listed(newest=newest)
    if taken:
        check_symbols(path, find_target(target))
        return
    words = rf"needs {newest}\S*, {target} has 3\.4\.\d+; build with an older g\+\+"
    with pytest.raises(PluginError, match=words):
        check_symbols(path, find_target(target))


def test_the_cpp_librarys_version_is_known_for_every_target(plugins):
    assert all(target.glibcxx is not None for target in TARGETS)
    assert read_symbols(plugins.path).glibcxx > (3, 4, 0)


def test_the_newest_symbol_decides_in_any_order(listed):
    assert read_symbols(listed(newest="GLIBC_2.17")).glibc == (2, 17)
    assert read_symbols(listed(newest="GLIBC_2.0")).glibc == (2, 2)
    assert read_symbols(listed(newest="OTHER_9.9")).glibc == (2, 2)


@pytest.mark.parametrize(
    ("machine", "name"),
    [("Advanced Micro Devices X86-64", "x86_64"), ("AArch64", "aarch64"), ("RISC-V", "RISC-V")],
)
def test_a_library_runs_only_on_its_own_processor(listed, machine, name):
    path = listed(machine)
    assert read_symbols(path).machine == name
    for target in (HOST_TARGET, find_target("jetson-thor")):
        if target.machine == name:
            check_symbols(path, target)
            continue
        with pytest.raises(PluginError, match=f"it is for {name}, {target.name} has {target.machine}"):
            check_symbols(path, target)

"""The plugin library: it loads wherever its target runs, and asks for nothing of TensorRT and CUDA."""

from __future__ import annotations

import ctypes
import dataclasses
import importlib.metadata
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from spair.plugins.compiler.build import build_plugins, has_code, is_too_new, take_library
from spair.plugins.compiler.kernels.compilation import Settings
from spair.plugins.compiler.kernels.variants import list_variants
from spair.plugins.compiler.library import linking as library_module
from spair.plugins.compiler.library.embedding import Label, read_label
from spair.plugins.compiler.library.linking import build_library
from spair.plugins.compiler.library.symbols import check_symbols, read_symbols
from spair.plugins.compiler.report import format_report
from spair.plugins.compiler.targets import find_target
from spair.plugins.errors import PluginError

OPERATORS = {"SparseConv2d", "SparseNonLocal", "MaskedModulation"}
CROSS = "aarch64-linux-gnu-g++"


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


def test_it_loads_and_has_the_kernels_of_the_report(plugins):
    loaded = ctypes.CDLL(str(plugins.path))
    count = ctypes.c_uint64()
    loaded.spair_plugins_kernels.restype = ctypes.c_void_p
    assert loaded.spair_plugins_kernels(ctypes.byref(count))
    assert count.value == 2 * len(plugins.report["kernels"]), "machine code and PTX of one architecture"
    creators = ctypes.c_int32()
    loaded.getCreators.restype = ctypes.c_void_p
    assert loaded.getCreators(ctypes.byref(creators))
    assert creators.value >= len(OPERATORS)


def test_it_says_what_it_is(plugins):
    loaded = ctypes.CDLL(str(plugins.path))
    loaded.spair_plugins_version.restype = loaded.spair_plugins_target.restype = ctypes.c_char_p
    label = read_label(plugins.path)
    assert loaded.spair_plugins_version().decode() == label.version == importlib.metadata.version("spair-rt")
    assert loaded.spair_plugins_target().decode() == str(label)
    assert loaded.spair_plugins_serial_version() == label.abi


def test_every_kernel_keeps_the_rules(plugins):
    variants = {variant.name: variant for variant in list_variants(89)}
    assert [kernel["name"] for kernel in plugins.report["kernels"]] == list(variants)
    for kernel in plugins.report["kernels"]:
        assert (kernel["spills"], kernel["stack"]) == (0, 0), kernel["name"]
        assert (kernel["mma"] > 0) == (variants[kernel["name"]].tensor_cores is not None), kernel["name"]
        assert tuple(map(int, kernel["ptx_version"].split("."))) <= plugins.target.ptx
        assert 0 < kernel["occupancy"] <= 1
        assert kernel["embedded"] == "cubin+ptx"


def test_the_text_report_has_a_line_for_each_kernel(plugins):
    lines = format_report(plugins.report).splitlines()
    (heading,) = (index for index, line in enumerate(lines) if line.startswith("kernel "))
    table = lines[heading + 1 :]
    assert len(table) == len(plugins.report["kernels"])
    assert len({len(line) for line in lines[heading:]}) == 1, "columns are aligned"
    kernel, line = plugins.report["kernels"][-1], table[-1].split()
    assert line[0] == kernel["name"]
    assert line[1:4] == [str(kernel[key]) for key in ("sm", "registers", "spills")]
    json.dumps(plugins.report, allow_nan=False)


def test_a_second_build_is_the_same_file(plugins, monkeypatch):
    monkeypatch.setattr(library_module, "_compile", lambda *arguments: pytest.fail("compiled again"))
    assert build_plugins(plugins.target, plugins.settings).library == plugins.path.read_bytes()


def few(architecture):
    return list_variants(architecture)[:2]


@pytest.fixture
def small_native(tmp_path, monkeypatch):
    """Sources of a library that has one file."""
    native = tmp_path / "plugins" / "native"
    native.mkdir(parents=True)
    for name in ("fields.h", "kernel_table.h", "log.h", "log.cpp"):
        shutil.copy(library_module.NATIVE / name, native)
    monkeypatch.setattr(library_module, "NATIVE", native)
    monkeypatch.setattr(library_module, "_ROOT", native.parent)
    return native


def test_sources_that_do_not_compile_are_told(plugins, small_native):
    (small_native / "log.cpp").write_text("int broken() { int unused; return 0; }\n")
    with pytest.raises(PluginError, match=r"^g\+\+ cannot make log\.cpp: .*error: unused variable") as caught:
        build_library(plugins.target, [], Settings(2))
    assert "\n" not in str(caught.value)


def test_a_symbol_that_no_library_has_would_not_link(plugins, small_native):
    with (small_native / "log.cpp").open("a") as stream:
        stream.write('extern "C" int nvinfer_function();\nextern "C" int ask() { return nvinfer_function(); }\n')
    with pytest.raises(
        PluginError, match=r"cannot make libspair_plugins\.so: .*undefined reference to .nvinfer_function"
    ):
        build_library(plugins.target, [], Settings(2))


def test_a_library_without_entry_points_is_not_made(plugins, small_native):
    with pytest.raises(PluginError, match=r"cannot run on host: it lacks getCreators and setLoggerFinder"):
        build_library(plugins.target, [], Settings(2))


def test_a_library_that_the_target_cannot_load_is_refused(plugins, tmp_path):
    target = plugins.target
    good = 'extern "C" int getCreators() { return 0; } extern "C" void setLoggerFinder() {}'
    check_symbols(make_library(tmp_path / "good.so", good), target)
    with pytest.raises(PluginError, match="lacks setLoggerFinder, which TensorRT calls"):
        check_symbols(make_library(tmp_path / "lacks.so", good.partition(" extern")[0]), target)
    make_library(tmp_path / "libother.so", 'extern "C" int other() { return 0; }')
    needs = make_library(tmp_path / "needs.so", good, f"-L{tmp_path}", "-Wl,--no-as-needed", "-lother")
    with pytest.raises(PluginError, match=r"needs libother\.so, expected none but libc\.so\.6"):
        check_symbols(needs, target)
    old = dataclasses.replace(target, glibc=(2, 1))
    with pytest.raises(PluginError, match=r"needs glibc 2\.\d+, host has 2\.1; build on an older system"):
        check_symbols(plugins.path, old)
    with pytest.raises(PluginError, match="it is for x86_64, jetson-thor has aarch64"):
        check_symbols(plugins.path, find_target("jetson-thor"))
    (tmp_path / "text.so").write_text("hello")
    with pytest.raises(PluginError, match="not a library that readelf can read"):
        read_symbols(tmp_path / "text.so")


def test_readelf_is_named_where_it_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(PluginError, match="readelf, which is not installed; apt-get install binutils"):
        read_symbols(tmp_path)


def relabel(plugins, path: Path, **changes: object) -> Path:
    """The library with another label of the same length."""
    label = dataclasses.asdict(read_label(plugins.path))
    old, new = (json.dumps(fields).encode() for fields in (label, {**label, **changes}))
    assert len(new) == len(old)
    path.write_bytes(plugins.path.read_bytes().replace(old, new))
    return path


def test_a_library_of_this_version_and_target_is_taken(plugins):
    build = take_library(plugins.path, plugins.target)
    assert (build.library, build.report) == (plugins.path.read_bytes(), None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"version": "0.0.9"},
            r"is of spair-rt 0\.0\.9 with ABI \d+, expected .* with ABI \d+; make one with spair build",
        ),
        ({"abi": 0}, "with ABI 0, expected"),
        ({"machine": "mips64"}, "is for mips64, host has x86_64"),
        (
            {"cuda": [13, 6]},
            r"was built for drivers of CUDA 13\.6, the drivers of host may be of CUDA 12\.6 and not read its code",
        ),
        ({"architectures": [90], "fallback": 90}, r"no kernels for sm_89 of host: it was built for host \(sm_90; PTX"),
    ],
)
def test_a_library_of_another_version_abi_or_architecture_is_refused(plugins, tmp_path, changes, words):
    with pytest.raises(PluginError, match=words):
        take_library(relabel(plugins, tmp_path / "other.so", **changes), plugins.target)


@pytest.mark.parametrize(
    ("architectures", "fallback", "architecture", "runs"),
    [
        ((87,), 87, 87, True),
        ((87,), 87, 120, True),  # PTX
        ((86,), 89, 87, True),  # code of the major version
        ((89,), 89, 86, False),
        ((90,), 89, 86, False),
        ((90, 120), 89, 100, True),  # PTX of 89, not code of 90
    ],
)
def test_gpus_run_their_own_code_older_code_of_their_major_version_or_ptx(architectures, fallback, architecture, runs):
    label = Label("0.1.0", 1, "test", "x86_64", architectures, fallback, (12, 6))
    assert has_code(label, architecture) == runs


@pytest.mark.parametrize(
    ("built", "architecture", "cuda", "refused"),
    [
        ((12, 8), 89, (12, 6), False),  # machine code of the same major version
        ((13, 0), 89, (12, 8), True),
        ((12, 8), 90, (12, 6), True),  # PTX 8.7, of which CUDA 12.6 knows nothing
        ((12, 6), 90, (12, 5), False),  # both of PTX 8.5
        ((12, 6), 90, (13, 0), False),
    ],
)
def test_code_is_for_drivers_that_read_it(built, architecture, cuda, refused):
    label = Label("0.1.0", 1, "test", "x86_64", (89,), 89, built)
    assert is_too_new(label, architecture, cuda) == refused


LOADER = """
#include <dlfcn.h>
#include <cstdint>
#include <cstdio>
int main(int, char** arguments) {
    void* library = dlopen(arguments[1], RTLD_NOW);
    if (library == nullptr) { std::puts(dlerror()); return 1; }
    auto creators = reinterpret_cast<void* const* (*)(int32_t&)>(dlsym(library, "getCreators"));
    auto target = reinterpret_cast<const char* (*)()>(dlsym(library, "spair_plugins_target"));
    int32_t count = 0;
    if (creators == nullptr || creators(count) == nullptr) return 2;
    std::printf("%d creators for %s\\n", count, target());
}
"""


def test_the_aarch64_library_is_cross_compiled_and_loads_under_qemu(kernel_settings, tmp_path):
    pytest.importorskip("triton", reason="Triton compiles the kernels")
    for tool in (CROSS, "qemu-aarch64"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed; on Debian: apt-get install g++-aarch64-linux-gnu qemu-user")
    target = find_target("jetson-orin-jp6")
    build = build_plugins(target, kernel_settings, variants=few)
    library = tmp_path / "libspair_plugins.so"
    library.write_bytes(build.library)
    assert read_symbols(library).machine == "aarch64"
    assert read_symbols(library).glibc <= target.glibc
    loader = tmp_path / "loader"
    command = [CROSS, "-std=c++17", "-x", "c++", "-", "-o", str(loader), "-ldl"]
    subprocess.run(command, input=LOADER.encode(), check=True)
    run = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", str(loader), str(library)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "creators for jetson-orin-jp6 (sm_87; PTX for later ones than sm_87)" in done.stdout

"""The plugin library: it loads wherever its target runs, and asks for nothing of TensorRT and CUDA."""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import shutil
import subprocess

import pytest

from spair.plugins.compiler.build import build_plugins
from spair.plugins.compiler.kernels.compilation import Settings
from spair.plugins.compiler.kernels.variants import list_variants
from spair.plugins.compiler.library import linking as library_module
from spair.plugins.compiler.library.embedding import read_label
from spair.plugins.compiler.library.linking import build_library
from spair.plugins.compiler.library.symbols import read_symbols
from spair.plugins.compiler.report import format_report
from spair.plugins.compiler.targets import find_target
from spair.plugins.errors import PluginError
from tests.plugins.conftest import list_all

OPERATORS = {"SparseConv2d", "SparseNonLocal", "MaskedModulation"}
CROSS = "aarch64-linux-gnu-g++"


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
    variants = {variant.name: variant for variant in list_all(89)}
    names = [kernel["name"] for kernel in plugins.report["kernels"]]
    assert names == [name for name, variant in variants.items() if not variant.optional or name in names]
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


def few(architecture):
    return list_variants(architecture)[:2]


@pytest.fixture
def small_native(tmp_path, monkeypatch):
    """Sources of a library that has one file."""
    native = tmp_path / "plugins" / "native"
    native.mkdir(parents=True)
    for name in ("fields.h", "generation.cpp", "generation.h", "kernel_table.h", "log.h", "log.cpp"):
        shutil.copy(library_module.NATIVE / name, native)
    monkeypatch.setattr(library_module, "NATIVE", native)
    monkeypatch.setattr(library_module, "ROOT", native.parent)
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

"""Which ptxas, compiler and headers are taken, and what is said where one is missing."""

import shutil

import pytest

from spair.plugins.compiler import tools
from spair.plugins.compiler.tools import (
    Assembler,
    choose_assembler,
    choose_ptx,
    find_assemblers,
    find_compiler,
    find_cuda_headers,
    find_tensorrt_headers,
    read_tensorrt_version,
)
from spair.plugins.errors import PluginError

OLD, NEW, NEWEST = (Assembler(f"/{v}", v, f"{v[0]}.{v[1]}.1") for v in ((12, 6), (12, 9), (13, 4)))
ALL = (NEWEST, OLD, NEW)


@pytest.mark.parametrize(
    ("architecture", "cuda", "expected"),
    [
        (87, (12, 6), OLD),  # JetPack 6: its own
        (87, (13, 2), NEW),  # the newest that is not newer
        (89, (12, 9), NEW),
        (90, (12, 6), OLD),
        (100, (12, 8), NEW),  # 12.6 does not know it; 12.9 makes what drivers of 12.8 load
        (110, (13, 0), NEWEST),
        (120, (13, 4), NEWEST),
        (87, (12, 2), OLD),
    ],
)
def test_the_ptxas_is_of_the_drivers_major_version_at_most(architecture, cuda, expected):
    assert choose_assembler(architecture, cuda, ALL) == expected


@pytest.mark.parametrize(
    ("architecture", "cuda", "found"), [(110, (12, 9), ALL), (87, (12, 6), (NEWEST,)), (87, (12, 6), ())]
)
def test_a_ptxas_whose_code_the_driver_refuses_is_not_taken(architecture, cuda, found):
    with pytest.raises(PluginError, match=rf"no ptxas for sm_{architecture} under CUDA 12\.\d: .*pip install"):
        choose_assembler(architecture, cuda, found)


@pytest.mark.parametrize(
    ("cuda", "assembler", "ptx"), [((12, 6), OLD, (8, 5)), ((13, 2), NEW, (8, 8)), ((13, 0), NEWEST, (9, 0))]
)
def test_ptx_is_no_newer_than_driver_and_ptxas(cuda, assembler, ptx):
    assert choose_ptx(cuda, assembler) == ptx


def test_jetpack_6_and_blackwell_have_their_ptxas_in_this_environment():
    pytest.importorskip("triton", reason="Triton brings two of them")
    found = find_assemblers()
    assert choose_assembler(87, (12, 6), found).cuda == (12, 6)
    assert choose_assembler(110, (13, 0), found).cuda[0] == 13


def test_without_triton_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(tools, "_package_folders", lambda name: [])
    with pytest.raises(PluginError, match=r"Triton, which is not installed; .*pip install 'spair-rt\[plugins\]'"):
        find_assemblers.__wrapped__()


@pytest.mark.parametrize(
    ("here", "machine", "name", "package"),
    [
        ("x86_64", "x86_64", "g++", "g++"),
        ("x86_64", "aarch64", "aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu"),
        ("aarch64", "aarch64", "g++", "g++"),
        ("aarch64", "x86_64", "x86_64-linux-gnu-g++", "g++-x86-64-linux-gnu"),
    ],
)
def test_a_missing_compiler_is_answered_with_its_package(monkeypatch, here, machine, name, package):
    monkeypatch.setattr(tools.platform, "machine", lambda: here)
    monkeypatch.setattr(tools.shutil, "which", lambda command: f"/bin/{command}" if command == name else None)
    assert find_compiler(machine) == f"/bin/{name}"
    monkeypatch.setattr(tools.shutil, "which", lambda command: None)
    with pytest.raises(
        PluginError,
        match=rf"needs the compiler {name.replace('+', '.')}, .*apt-get install {package.replace('+', '.')}$",
    ):
        find_compiler(machine)


PLAIN = "#define NV_TENSORRT_MAJOR {} //!< TensorRT major version.\n#define NV_TENSORRT_MINOR {}  //!< minor\n"
INDIRECT = """#define TRT_MAJOR_ENTERPRISE {}
#define TRT_MINOR_ENTERPRISE {}
#define NV_TENSORRT_MAJOR TRT_MAJOR_ENTERPRISE //!< TensorRT major version.
#define NV_TENSORRT_MINOR TRT_MINOR_ENTERPRISE //!< TensorRT minor version.
"""


def make_headers(folder, major=10, minor=3, form=PLAIN):
    folder.mkdir(exist_ok=True)
    (folder / "NvInferRuntime.h").touch()
    (folder / "NvInferVersion.h").write_text(form.format(major, minor))
    return folder


@pytest.mark.parametrize("form", [PLAIN, INDIRECT], ids=["10.3", "10.14"])
def test_the_version_of_headers_is_read(tmp_path, form):
    assert read_tensorrt_version(make_headers(tmp_path, 10, 14, form)) == (10, 14)
    (tmp_path / "NvInferVersion.h").write_text("")
    assert read_tensorrt_version(tmp_path) is None
    assert read_tensorrt_version(tmp_path / "absent") is None


def test_headers_before_the_oldest_are_refused_and_passed_over(tmp_path, monkeypatch):
    old = make_headers(tmp_path / "old", 8, 6)
    words = "which has the headers of TensorRT 8.6; let it name the include folder of a TensorRT from 10.3 on"
    with pytest.raises(PluginError, match=words):
        find_tensorrt_headers({"TENSORRT_INCLUDE_DIR": str(old)})
    (tmp_path / "include").mkdir()
    carried = make_headers(tmp_path / "include" / "tensorrt", 10, 14)
    monkeypatch.setattr(tools.Path, "glob", lambda path, pattern: iter([old]))
    monkeypatch.setattr(tools, "_package_folders", lambda name: [str(tmp_path)])
    assert find_tensorrt_headers({}) == carried


def test_the_folder_of_the_variable_is_taken(tmp_path):
    make_headers(tmp_path)
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "cuda_runtime_api.h").touch()
    assert find_tensorrt_headers({"TENSORRT_INCLUDE_DIR": str(tmp_path)}) == tmp_path
    assert find_cuda_headers({"CUDA_HOME": str(tmp_path)}) == tmp_path / "include"


def test_a_variable_that_points_nowhere_is_told(tmp_path):
    with pytest.raises(PluginError, match=f"TENSORRT_INCLUDE_DIR is {tmp_path}, which has no NvInferRuntime.h"):
        find_tensorrt_headers({"TENSORRT_INCLUDE_DIR": str(tmp_path)})
    with pytest.raises(PluginError, match=f"CUDA_HOME is {tmp_path}, which has no include/cuda_runtime_api.h"):
        find_cuda_headers({"CUDA_HOME": str(tmp_path)})


@pytest.mark.parametrize("find", [find_tensorrt_headers, find_cuda_headers])
def test_missing_headers_are_answered_with_a_package(monkeypatch, find):
    monkeypatch.setattr(tools, "_package_folders", lambda name: [])
    monkeypatch.setattr(tools.Path, "is_file", lambda path: False)
    with pytest.raises(PluginError, match=r"headers \(.*\.h\) were not found; set .*pip install 'spair-rt\[plugins\]'"):
        find({})


def test_a_ptxas_that_does_not_run_is_left_out(tmp_path):
    script = tmp_path / "ptxas"
    script.write_text("#!/bin/sh\necho hello\n")
    script.chmod(0o755)
    assert tools._read_assembler(script) is None
    assert tools._read_assembler(tmp_path / "absent") is None
    script.write_text("#!/bin/sh\necho 'Cuda compilation tools, release 12.6, V12.6.85'\n")
    assert tools._read_assembler(script) == Assembler(str(script), (12, 6), "12.6.85")
    assert shutil.which(str(script))

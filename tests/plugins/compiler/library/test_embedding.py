"""The generated source puts machine code into a library byte for byte, and says what the library is."""

import ctypes
import dataclasses
import platform
import re
import shutil
import subprocess

import pytest

from spair.plugins.compiler.kernels.kernel import Kernel
from spair.plugins.compiler.library.compiling import NATIVE
from spair.plugins.compiler.library.embedding import Label, make_label, read_label, write_images
from spair.plugins.compiler.targets import TARGETS, find_target
from spair.plugins.errors import PluginError
from tests.plugins.emulated.tensorrt import KernelImage

LABEL = Label("1.2.3", 7, "test", "x86_64", (89, 120), 80, (12, 8), (10, 14))
PTX = (
    ".version 8.5\n.target sm_80\n.visible .entry k(\n\t.param .u64 k_param_0,\n\t.param .u32 k_param_1\n)\n{ ret; }\n"
)


def make_kernel(architecture, code, tile=(64, 32)):
    return Kernel("a.fp16", architecture, tile, code, PTX, "k", 8, 512, 0, 0, 40, 0, 0, "12.6.85")


KERNELS = [
    make_kernel(80, b"for the fallback alone"),
    make_kernel(89, bytes(range(256)) * 3, (16, 32, 64, 128)),
    make_kernel(120, b"\0\0\0"),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The generated source alone, with a function that gives its table away."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed; on Debian and Ubuntu: apt-get install g++")
    folder = tmp_path_factory.mktemp("images")
    source = write_images(folder, KERNELS, LABEL)
    (folder / "table.cpp").write_text(
        '#include "kernel_table.h"\n'
        'extern "C" const spair::KernelImage* table(size_t* count) '
        "{ *count = spair::kernel_image_count; return spair::kernel_images; }\n"
        'extern "C" const char* version() { return spair::library_version; }\n'
        'extern "C" const char* digest() { return spair::kernel_digest; }\n'
        'extern "C" const char* target() { return spair::library_target; }\n'
    )
    path = folder / "library.so"
    command = [
        "g++",
        "-std=c++17",
        "-shared",
        "-fPIC",
        "-Wall",
        "-Wextra",
        "-Werror",
        f"-I{NATIVE}",
        f"-Wa,-I,{folder}",
    ]
    subprocess.run([*command, str(source), str(folder / "table.cpp"), "-o", str(path)], check=True)
    return path


def read_table(path):
    loaded = ctypes.CDLL(str(path))
    loaded.table.restype = ctypes.POINTER(KernelImage)
    count = ctypes.c_size_t()
    images = loaded.table(ctypes.byref(count))
    return loaded, [images[index] for index in range(count.value)]


def test_code_of_the_architectures_and_ptx_of_the_fallback_are_embedded(library):
    _, images = read_table(library)
    assert [(image.sm, image.ptx) for image in images] == [(80, True), (89, False), (120, False)]
    data = [ctypes.string_at(image.code, image.size) for image in images]
    assert data == [PTX.encode() + b"\0", KERNELS[1].code, KERNELS[2].code]
    assert all(image.code % 64 == 0 for image in images)


def test_the_table_has_what_a_launch_needs(library):
    _, images = read_table(library)
    for image in images:
        assert (image.variant, image.symbol) == (b"a.fp16", b"k")
        assert (image.warps, image.shared, image.parameters) == (8, 512, 2)
    assert [list(image.tile) for image in images] == [[64, 32, 0, 0], [16, 32, 64, 128], [64, 32, 0, 0]]


def test_version_and_target_are_told(library):
    loaded, _ = read_table(library)
    loaded.version.restype = loaded.target.restype = ctypes.c_char_p
    assert loaded.version() == b"1.2.3"
    assert loaded.target() == b"test (sm_89, sm_120; PTX for later ones than sm_80)"


def test_other_kernels_have_another_digest(library, tmp_path):
    loaded, _ = read_table(library)
    loaded.digest.restype = ctypes.c_char_p
    other = dataclasses.replace(KERNELS[1], code=KERNELS[1].code[:-1] + b"x")
    texts = []
    for name, kernels in (("same", KERNELS), ("other", [KERNELS[0], other, KERNELS[2]]), ("fewer", KERNELS[:2])):
        (tmp_path / name).mkdir()
        texts.append(write_images(tmp_path / name, kernels, LABEL).read_text())
    digests = [re.search(r'kernel_digest\[\] = "(\w{16})"', text)[1] for text in texts]
    assert loaded.digest().decode() == digests[0]
    assert len(set(digests)) == 3


def test_the_label_is_read_without_loading(library):
    assert read_label(library) == LABEL


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x7fELF without",
        b'spair-plugins {"version": "1"}\0',
        b'\x7fELF spair-plugins {"version": "1"}\0',
        b"\x7fELF spair-plugins {]}\0",
    ],
    ids=["empty", "another library", "no library", "another label", "damaged"],
)
def test_another_file_is_no_plugin_library(tmp_path, content):
    path = tmp_path / "file.so"
    path.write_bytes(content)
    with pytest.raises(PluginError, match="file.so is not a plugin library of spair-rt, or is damaged"):
        read_label(path)


def test_an_absent_file_is_told(tmp_path):
    with pytest.raises(PluginError, match="cannot read the plugin library .*absent.so: No such file"):
        read_label(tmp_path / "absent.so")


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_label_names_its_target(target):
    label = make_label(target, "0.1.0", (10, 3), NATIVE)
    assert (label.target, label.machine, label.architectures) == (target.name, target.machine, target.architectures)
    assert (label.fallback, label.cuda) == (target.fallback, target.cuda)
    assert label.abi >= 1


def test_sources_without_an_abi_are_told(tmp_path):
    (tmp_path / "fields.h").write_text("constexpr int32_t kSerialVersion = make();")
    with pytest.raises(ValueError, match="does not define kSerialVersion as a number"):
        make_label(find_target("l4"), "0.1.0", (10, 3), tmp_path)


def test_the_generated_source_is_the_same_every_time(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_images(tmp_path / name, KERNELS, LABEL)
    first, second = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("a", "b"))
    assert first == second
    assert platform.machine().encode() not in first["kernel_images.cpp"] or LABEL.machine == platform.machine()

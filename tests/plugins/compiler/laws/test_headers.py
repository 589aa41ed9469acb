"""The plugins' sources compile against every TensorRT that they are for: one source for all.

The library is built, and tested, with one set of headers. To check others, name their include folders:

    git clone https://github.com/NVIDIA/TensorRT && cd TensorRT
    for tag in v10.3.0 v10.9.0 v10.16 v11.1; do git worktree add ../headers/$tag $tag; done
    export SPAIR_TENSORRT_HEADERS="$(echo ../headers/*/include | tr ' ' ':')"
    pytest tests/plugins/compiler/laws/test_headers.py
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

from spair.plugins.compiler.library.compiling import COMPILE, NATIVE, ROOT
from spair.plugins.compiler.library.linking import list_sources
from spair.plugins.compiler.tools import OLDEST_TENSORRT, find_compiler, find_cuda_headers, read_tensorrt_version
from spair.plugins.errors import PluginError

VARIABLE = "SPAIR_TENSORRT_HEADERS"
FOLDERS = [Path(part) for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
SOURCES = list_sources()


def make_command(source: Path, headers: Path) -> list[str]:
    try:
        compiler, cuda = find_compiler("x86_64"), find_cuda_headers()
    except PluginError as error:
        pytest.skip(str(error))
    return [
        compiler,
        *COMPILE,
        "-fsyntax-only",
        f"-I{NATIVE}",
        *("-isystem", str(headers), "-isystem", str(cuda)),
        str(source),
    ]


@pytest.mark.skipif(not FOLDERS, reason=f"${VARIABLE} names no TensorRT headers to compile the plugins against")
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_source_compiles_without_a_warning(source):
    for folder in FOLDERS:
        version = read_tensorrt_version(folder)
        assert version is not None and version >= OLDEST_TENSORRT, f"{folder} has {version}"
        done = subprocess.run(make_command(source, folder), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"TensorRT {version}: {done.stderr}"


SHARED = r"^Vtable for spair::|^Class nvinfer1::(Plugin|Dims|DynamicPlugin)"
"""Tables of the functions that TensorRT calls, and structures that it hands over."""


def dump_layouts(headers: Path, folder: Path) -> str:
    """Let the compiler write how a plugin's classes lie in memory."""
    path = folder / "classes.txt"
    command = [*make_command(ROOT / "masked_modulation" / "plugin.cpp", headers), f"-fdump-lang-class={path}"]
    subprocess.run(command, check=True)
    parts = sorted(path.read_text(encoding="utf-8").split("\n\n"))
    lines = [line for part in parts if re.match(SHARED, part) for line in part.splitlines()]
    return "\n".join(line for line in lines if " (0x" not in line)  # numbers of the compiler's own


@pytest.mark.skipif(not FOLDERS, reason=f"${VARIABLE} names no TensorRT headers to compile the plugins against")
def test_what_tensorrt_calls_lies_at_the_same_place_in_every_version(tmp_path):
    first, *others = [dump_layouts(folder, tmp_path) for folder in FOLDERS]
    assert "enqueue" in first and "createPlugin" in first and "Class nvinfer1::PluginTensorDesc\n   size=88" in first
    assert all(other == first for other in others)


def test_there_are_sources_to_compile():
    assert len(SOURCES) > 10

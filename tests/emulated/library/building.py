"""Compilation of the libraries below NVIDIA's bindings."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
from pathlib import Path

from tests.emulated.library.tables import write_tables
from tests.emulated.setup.cache import make_once
from tests.emulated.setup.pycuda_wheel import BuildError, find_triton_headers

LIBRARIES = {
    "10": ("libnvinfer.so.10", "libnvinfer_plugin.so.10", "libnvonnxparser.so.10"),
    "11": ("libnvinfer.so.11", "libnvinfer_plugin.so.11", "libnvonnxparser.so.11"),
    "rtx": ("libtensorrt_rtx.so.1", "libtensorrt_onnxparser_rtx.so.1"),
}
"""Flavour -> libraries that its bindings link with; all entry points are in the first."""
DEFINED = {"10": [], "11": ["-DVERSIONED"], "rtx": ["-DVERSIONED", "-DRTX"]}


def find_headers() -> Path:
    """Return the folder of TensorRT 10.14's headers.

    The package kernel-lens carries them.

    Raises:
        BuildError: it is not installed.
    """
    spec = importlib.util.find_spec("kernel_lens")
    if not spec or not spec.origin:
        raise BuildError(
            "the libraries are compiled with the headers of the package kernel-lens, which is not installed"
        )
    return Path(spec.origin).parent / "include" / "tensorrt"


def build_libraries(flavour: str) -> Path:
    """Return the folder with the libraries of a flavour.

    They are compiled on first use.

    Raises:
        BuildError: headers are absent.
        subprocess.CalledProcessError: g++ fails.
    """
    headers = [find_headers(), find_triton_headers()]
    tables = write_tables(headers[0], flavour)
    sources = sorted(path for path in Path(__file__).parent.iterdir() if path.suffix in (".h", ".cpp"))
    digest = hashlib.sha256("".join([tables, *(path.read_text() for path in sources)]).encode()).hexdigest()

    def compile_into(folder: Path) -> None:
        (folder / "tables.h").write_text(tables)
        first, *rest = LIBRARIES[flavour]
        options = ["-std=c++17", "-O1", "-shared", "-fPIC", "-Wall", "-Wno-deprecated-declarations", f"-I{folder}"]
        options += [*DEFINED[flavour], *(part for header in headers for part in ("-isystem", str(header)))]
        source = Path(__file__).with_name("libnvinfer.cpp")
        subprocess.run(["g++", *options, f"-Wl,-soname,{first}", "-o", str(folder / first), str(source)], check=True)
        for name in rest:
            link = ["-Wl,--no-as-needed", str(folder / first), "-Wl,-rpath,$ORIGIN", f"-Wl,-soname,{name}"]
            subprocess.run(["g++", "-shared", "-o", str(folder / name), *link], check=True)

    return make_once(f"libnvinfer-{flavour}-{digest[:16]}", compile_into)

"""Compilation of C++ sources and kernels to one plugin library.

TensorRT loads the file.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from ....temporary.places import scratch_folder
from ...errors import PluginError
from ..cache import hash_files, make_key
from ..kernels.compilation import Progress, Settings
from ..kernels.kernel import Kernel
from ..targets import Target
from ..tools import find_compiler, find_cuda_headers, find_tensorrt_headers, read_tensorrt_version
from .compiling import COMPILE, LINK, NATIVE, ROOT, run_compiler
from .embedding import Label, make_label, read_abi, write_images
from .symbols import check_symbols, find_readelf

LIBRARY = "libspair_plugins.so"


def library_version() -> str:
    """Return the version of spair-rt that builds libraries."""
    return importlib.metadata.version("spair-rt")


def library_abi() -> int:
    """Return the version of what plugins write into engines."""
    return read_abi(NATIVE)


@dataclass(frozen=True)
class Toolchain:
    """Compiler and headers of a library."""

    compiler: str
    tensorrt: Path
    """Folder of TensorRT's headers."""
    cuda: Path
    """Folder of CUDA's headers."""


def list_sources() -> list[Path]:
    """List the written C++ sources of the library."""
    return sorted({*NATIVE.glob("*.cpp"), *ROOT.glob("*/plugin.cpp")} - {NATIVE / "autoload.cpp"})


def library_label(target: Target, tools: Toolchain) -> Label:
    """Make the label of a library that is built now.

    Raises:
        PluginError: the headers do not say their version.
    """
    version = read_tensorrt_version(tools.tensorrt)
    if version is None:
        raise PluginError(f"the TensorRT headers in {tools.tensorrt} do not say their version; give others")
    return make_label(target, library_version(), version, NATIVE)


def find_toolchain(target: Target) -> Toolchain:
    """Find the compiler and headers for a target's library.

    Raises:
        PluginError: something is missing; the message names the package that brings it.
    """
    find_readelf()
    return Toolchain(find_compiler(target.machine), find_tensorrt_headers(), find_cuda_headers())


def build_library(
    target: Target,
    kernels: Sequence[Kernel],
    settings: Settings,
    *,
    progress: Progress = lambda step: None,
) -> bytes:
    """Build the content of libspair_plugins.so for a target.

    Raises:
        PluginError: a compiler or headers are missing, the sources do not compile, or the library needs symbols that
            the target does not have.
    """
    tools = find_toolchain(target)
    label = library_label(target, tools)
    with scratch_folder("library") as folder:
        generated = write_images(folder, kernels, label)
        sources = [*list_sources(), generated]
        key = _key(target, sources, folder, tools)
        kept = settings.cache.load(key)
        if kept and "library" in kept:
            return kept["library"]
        progress("compiling the plugin library")
        library = folder / LIBRARY
        _compile(tools, sources, library, settings.jobs)
        check_symbols(library, target)
        content = library.read_bytes()
    settings.cache.store(key, {"library": content})
    return content


def _key(target: Target, sources: list[Path], folder: Path, tools: Toolchain) -> str:
    version = run_compiler([tools.compiler, "--version"], "its version known")
    named = {
        **{f"{path.parent.name}/{path.name}": path for path in (*sources[:-1], *NATIVE.glob("*.h"))},
        **{path.name: path for path in folder.iterdir()},
        "tensorrt": tools.tensorrt / "NvInferVersion.h",
        "cuda": tools.cuda / "cuda.h",
    }
    options = (*COMPILE, *LINK)
    return make_key({"files": hash_files(named), "compiler": version, "options": options, "target": asdict(target)})


def _compile(tools: Toolchain, sources: list[Path], library: Path, jobs: int) -> None:
    folder = library.parent
    includes = [part for header in (tools.tensorrt, tools.cuda) for part in ("-isystem", str(header))]
    # Paths of this machine stay out of the file, so that equal sources give equal libraries.
    places = (f"-I{NATIVE}", f"-ffile-prefix-map={ROOT}=plugins", f"-ffile-prefix-map={folder}=generated")
    objects = [folder / f"{index}.o" for index in range(len(sources))]

    def compile_one(source: Path, target: Path) -> None:
        run_compiler(
            [tools.compiler, *COMPILE, *places, f"-Wa,-I,{folder}", *includes, "-c", str(source), "-o", str(target)],
            source.name,
        )

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(compile_one, sources, objects))
    run_compiler([tools.compiler, *map(str, objects), *LINK, f"-Wl,-soname,{LIBRARY}", "-o", str(library)], LIBRARY)

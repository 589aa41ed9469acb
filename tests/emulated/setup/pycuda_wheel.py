"""Build of pycuda without CUDA.

The headers are those that Triton carries, with a few lines for the one that it lacks. The result links with the
emulated driver, and would run on a real one as well.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.emulated.driver.gpu import build_driver
from tests.emulated.setup.cache import make_once, python_tag, unpack_wheel

VERSION = "2026.1"
PROFILER = """#pragma once
#include <cuda.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef enum { CU_OUT_KEY_VALUE_PAIR = 0, CU_OUT_CSV = 1 } CUoutput_mode;
CUresult CUDAAPI cuProfilerInitialize(const char *config, const char *output, CUoutput_mode mode);
CUresult CUDAAPI cuProfilerStart(void);
CUresult CUDAAPI cuProfilerStop(void);
#ifdef __cplusplus
}
#endif
"""
"""cudaProfiler.h, which pycuda includes and Triton does not carry."""

PARALLEL = """import os
from concurrent.futures import ThreadPoolExecutor

import setuptools
from distutils.ccompiler import CCompiler


def compile(self, sources, output_dir=None, macros=None, include_dirs=None, debug=False, extra_preargs=None,
            extra_postargs=None, depends=None):
    macros, objects, behind, options, build = self._setup_compile(
        output_dir, macros, include_dirs, sources, depends, extra_postargs)
    before = self._get_cc_args(options, debug, extra_preargs)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda one: self._compile(one, *build[one], before, behind, options), build))
    return objects


CCompiler.compile = compile
"""
"""sitecustomize.py of the build: its dozens of files are compiled side by side, while other tests wait for them."""


class BuildError(RuntimeError):
    """Build that is not possible here."""


def find_pycuda() -> Path:
    """Return the folder to put on sys.path.

    pycuda is built there on first use, in about a minute.

    Raises:
        BuildError: it cannot be built here; the message is one sentence.
    """
    return make_once(f"pycuda-{VERSION}-{python_tag()}", _build)


def find_triton_headers() -> Path:
    """Return the folder of Triton's cuda.h.

    Raises:
        BuildError: Triton is not installed.
    """
    spec = importlib.util.find_spec("triton")
    if not spec or not spec.origin:
        raise BuildError("pycuda is built with Triton's headers, and Triton is not installed")
    return Path(spec.origin).parent / "backends" / "nvidia" / "include"


def _build(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        build_driver(home / "libcuda.so.1")
        (home / "libcuda.so").symlink_to("libcuda.so.1")
        (home / "cudaProfiler.h").write_text(PROFILER)
        (home / "sitecustomize.py").write_text(PARALLEL)
        _write_settings(home, [find_triton_headers(), home])
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        command += ["--disable-pip-version-check", "--no-binary", "pycuda", "-w", str(home), f"pycuda=={VERSION}"]
        done = subprocess.run(command, env=_clean_environment(home), capture_output=True, text=True)
        if done.returncode:
            raise BuildError(f"pycuda {VERSION} cannot be built: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        unpack_wheel(next(home.glob("pycuda-*.whl")), folder)


def _write_settings(home: Path, headers: list[Path]) -> None:
    """Write pycuda's settings into a home folder.

    Tests need no fast code: without optimization the build takes half the time.
    """
    (home / ".aksetup-defaults.py").write_text(
        f"CUDA_ROOT = None\nCUDA_INC_DIR = {[str(path) for path in headers]!r}\n"
        f"CUDADRV_LIB_DIR = [{str(home)!r}]\nCUDA_ENABLE_CURAND = False\nCXXFLAGS = ['-w', '-O0', '-g0']\n"
    )


def _clean_environment(home: Path) -> dict[str, str]:
    """Return the environment of the build.

    It has the settings' home with its sitecustomize.py, and no nvcc, which pycuda would follow.
    """
    variables = dict(os.environ)
    folders = [part for part in variables["PATH"].split(os.pathsep) if not (Path(part) / "nvcc").exists()]
    variables |= {"HOME": str(home), "PATH": os.pathsep.join(folders), "PIP_CACHE_DIR": str(home / "cache")}
    variables["PYTHONPATH"] = str(home)
    return variables

"""Compilation of the kernels into the user's cache, once.

The C++ lies in the folders of the operators and in `plugins/cpu/`. Only its files are read: the package `spair.plugins`
is not imported.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ....temporary.places import scratch_folder
from ...bundle.lock import lock_bundle
from ...cache import cache_folder
from ...errors import UserError
from ...files import replace_atomically
from .sets import InstructionSet, list_local_sets

SOURCES = Path(__file__).resolve().parents[3] / "plugins"
"""Folder of the operators, in a clone and in an installation."""
HEADERS = ("cpu/*.h", "*/cpu.h")
"""Patterns of the headers that the sources include."""
SHARED = "cpu/pool.cpp"
"""Source that is compiled once."""
KERNELS = "cpu/kernels.cpp"
"""Source that is compiled for each instruction set."""
COMPILERS = ("g++", "clang++", "c++")
"""Programs that can compile the sources, in the order in which they are tried."""
FLAGS = (
    *("-O3", "-std=c++17", "-fPIC", "-pthread", "-fvisibility=hidden"),
    *("-ffp-contract=fast", "-fno-math-errno", "-fno-exceptions", "-fno-rtti", "-Wno-psabi"),
)
"""Flags of every source; fast contraction joins a product and a sum, and nothing else is reordered."""
LINK_FLAGS = ("-shared", "-pthread", *(("-Wl,--as-needed", "-Wl,-s") if sys.platform == "linux" else ()))
"""Flags of the linker. The standard library of C++ is left out, since none of its functions is called, so that the
library loads wherever libc does."""
DIGITS = 24
"""Number of hexadecimal digits of the key in a library's name."""

_LOG = logging.getLogger("spair")


def find_compiler() -> str | None:
    """Return the path of a C++ compiler, or None."""
    return next((path for path in map(shutil.which, COMPILERS) if path), None)


def say_no_compiler() -> str:
    """Return the sentence about a machine without a compiler."""
    return (
        f"there is no C++ compiler ({', '.join(COMPILERS[:-1])} or {COMPILERS[-1]}) to compile its kernels with; "
        "install one (on Debian: apt-get install g++), or use --backend onnxruntime"
    )


def compile_library() -> Path:
    """Return the library for this machine, compiled on first use.

    The file's name has the hash of the sources, of the compiler's version and of all flags. It is complete or absent,
    and one process compiles it while others that need it wait. A warning says that this takes a while.

    Raises:
        UserError: there is no compiler, it fails or is killed, or the cache cannot be written.
    """
    compiler = find_compiler()
    if compiler is None:
        raise UserError(f"the backend cpu is not available: {say_no_compiler()}")
    sets = list_local_sets()
    target = cache_folder() / "kernels" / f"cpu-{_make_key(compiler, sets)[:DIGITS]}.so"
    if target.is_file():
        return target
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _LOG.warning("compiling the kernels of the backend cpu with %s, once for this machine", compiler)
        with lock_bundle(target):
            if not target.is_file():
                with replace_atomically(target) as temporary:
                    build_library(compiler, sets, temporary)
    except (OSError, UserError) as error:
        if isinstance(error, CompilerError):
            raise
        raise UserError(
            f"cannot keep the kernels of the backend cpu in the cache: {error}; set SPAIR_CACHE to a folder that can "
            "be written, or use --backend onnxruntime"
        ) from error
    return target


class CompilerError(UserError):
    """Failure of the compiler."""


def build_library(compiler: str, sets: Sequence[InstructionSet], target: Path, flags: Sequence[str] = ()) -> None:
    """Compile and link a library.

    Args:
        compiler: path or name of a GCC or Clang.
        sets: instruction sets that it gets; recent ones that the compiler does not know are left out.
        target: file to write.
        flags: further flags for every source.

    Raises:
        CompilerError: the compiler cannot run, fails or is killed.
    """
    sets = [one for one in sets if not one.recent or knows_flags(compiler, one.flags)]
    with scratch_folder("kernels") as folder:
        objects = [str(folder / f"{one.name}.o") for one in sets]
        commands = [
            [compiler, *FLAGS, *flags, *one.flags, f"-DSPAIR_SET={one.name}", "-c", str(SOURCES / KERNELS), "-o", file]
            for one, file in zip(sets, objects, strict=True)
        ]
        shared = str(folder / "shared.o")
        commands.append([compiler, *FLAGS, *flags, "-c", str(SOURCES / SHARED), "-o", shared])
        _run_all(commands, folder)
        _run_all([[compiler, *LINK_FLAGS, *flags, *objects, shared, "-o", str(target)]], folder)


def knows_flags(compiler: str, flags: Sequence[str]) -> bool:
    """Tell whether a compiler takes flags.

    Raises:
        CompilerError: the compiler cannot run.
    """
    try:
        command = [compiler, *flags, "-fsyntax-only", "-x", "c++", os.devnull]
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError as error:
        raise CompilerError(
            f"the compiler {compiler} does not run: {error}; mend it, or use --backend onnxruntime"
        ) from error


def hash_sources() -> dict[str, str]:
    """Return the SHA-256 of each source by its name."""
    files = [SOURCES / SHARED, SOURCES / KERNELS, *(path for pattern in HEADERS for path in SOURCES.glob(pattern))]
    return {str(file.relative_to(SOURCES)): hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(files)}


def _make_key(compiler: str, sets: Sequence[InstructionSet]) -> str:
    facts = {
        "sources": hash_sources(),
        "compiler": [compiler, read_version(compiler)],
        "flags": [FLAGS, LINK_FLAGS, [[one.name, one.flags] for one in sets]],
        "machine": platform.machine(),
    }
    return hash_facts(facts)


def hash_facts(facts: Mapping[str, Any]) -> str:
    """Return the SHA-256 of JSON values in hexadecimal."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def read_version(compiler: str) -> str:
    """Return the first line that a compiler says about itself.

    Raises:
        CompilerError: it cannot run.
    """
    try:
        answer = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CompilerError(
            f"the compiler {compiler} does not run: {error}; mend it, or use --backend onnxruntime"
        ) from error
    return answer.stdout.partition("\n")[0].strip()


def _run_all(commands: Sequence[Sequence[str]], folder: Path) -> None:
    """Run commands side by side.

    The first failure ends them all. What they leave when they are killed lies in `folder`.
    """
    running: list[subprocess.Popen[str]] = []
    environment = {**os.environ, "TMPDIR": str(folder)}
    try:
        for command in commands:
            # A session of its own, since a compiler has children, which must end with it.
            running.append(
                subprocess.Popen(
                    command,
                    stderr=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    text=True,
                    start_new_session=True,
                    env=environment,
                )
            )
        for process in running:
            _, errors = process.communicate()
            if process.returncode:
                raise CompilerError(_explain(process, errors))
    except OSError as error:
        raise CompilerError(
            f"the compiler {commands[0][0]} does not run: {error}; mend it, or use --backend onnxruntime"
        ) from error
    finally:
        for process in running:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.communicate()


def _explain(process: subprocess.Popen[str], errors: str) -> str:
    compiler = str(process.args[0]) if isinstance(process.args, list) else str(process.args)
    if process.returncode < 0:
        name = signal.Signals(-process.returncode).name
        return (
            f"the compiler {compiler} was ended by {name} while it compiled the kernels of the backend cpu; "
            "run the command again, with more free memory, or use --backend onnxruntime"
        )
    lines = [line for line in errors.splitlines() if "error" in line.lower()] or errors.splitlines()
    return (
        f"the compiler {compiler} cannot compile the kernels of the backend cpu: "
        f"{lines[0].strip() if lines else f'exit code {process.returncode}'}; expected GCC 9 or Clang 11 and later, "
        "or use --backend onnxruntime"
    )

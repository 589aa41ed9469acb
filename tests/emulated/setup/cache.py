"""Cache folder for what tests build or download once.

It lies outside of the repository: $SPAIR_TEST_CACHE, or ~/.cache/spair-rt-tests.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

VARIABLE = "SPAIR_TEST_CACHE"


def find_cache() -> Path:
    """Return the folder, made where it is absent."""
    folder = Path(os.environ.get(VARIABLE) or Path.home() / ".cache" / "spair-rt-tests")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def make_once(name: str, build: Callable[[Path], None]) -> Path:
    """Return the cached folder `name`.

    The first process that asks fills it by `build`.

    Other processes wait. A build that fails leaves no folder behind.
    """
    folder = find_cache() / name
    with (find_cache() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            work = Path(tempfile.mkdtemp(dir=find_cache(), prefix=f"{name}."))
            try:
                build(work)
                work.rename(folder)
            except BaseException:
                shutil.rmtree(work, ignore_errors=True)
                raise
    return folder


def unpack_wheel(wheel: Path, folder: Path) -> None:
    """Unzip a wheel into a folder for sys.path."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)


def python_tag() -> str:
    """Return the interpreter's tag, as cp311."""
    return f"cp{sys.version_info.major}{sys.version_info.minor}"


def import_from(folder: Path, name: str) -> ModuleType:
    """Import a module from a folder, and return its package.

    The folder is on sys.path for that long.
    """
    sys.path.insert(0, str(folder))
    try:
        importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))
    return sys.modules[name.partition(".")[0]]

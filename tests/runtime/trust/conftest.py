"""A cache of the test's own, and bundles whose library writes a file when it is loaded."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from spair.runtime.bundle.reader import Bundle
from spair.runtime.bundle.writer import extend_bundle

LIBRARY, ENGINE, PART = "plugins/l4/libspair_plugins.so", "engines/l4/fp16.engine", "engines/l4/fp16.net_l.engine"
SOURCE = """
#include <stdio.h>
__attribute__((constructor)) static void act(void) {{ FILE *f = fopen("{witness}", "w"); if (f) fclose(f); }}
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("SPAIR_CACHE", str(folder))
    return folder


@dataclass(frozen=True)
class Evil:
    """Bundle with native code."""

    bundle: Bundle
    witness: Path
    """File that appears when the library of the bundle is loaded."""

    @property
    def library(self) -> Path:
        return self.bundle.path / LIBRARY

    @property
    def engine(self) -> Path:
        return self.bundle.path / ENGINE

    def load(self, path: Path) -> bool:
        """Load a library in another process, and tell whether that ran the code of this bundle."""
        self.witness.unlink(missing_ok=True)
        subprocess.run([sys.executable, "-c", f"import ctypes; ctypes.CDLL({str(path)!r})"], check=True)
        return self.witness.exists()


def add_code(bundle: Bundle, library: bytes) -> Bundle:
    """Add a library, two engines and their keys to a bundle."""
    keys = {path: path.replace(".engine", ".json") for path in (ENGINE, PART)}
    parts = {"net_l": {"engine": PART, "key": keys[PART]}}
    entry = {
        "library": LIBRARY,
        "architectures": [89],
        "version": "0.1.0",
        "engines": {"fp16": {"engine": ENGINE, "key": keys[ENGINE], "parts": parts}},
    }
    files = {LIBRARY: library, ENGINE: b"plan", PART: b"part", **dict.fromkeys(keys.values(), b"{}")}
    return extend_bundle(bundle, {"targets": {"l4": entry}}, files)


@pytest.fixture
def evil(bundles, tmp_path: Path, cache: Path) -> Evil:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed; on Debian and Ubuntu: apt-get install gcc")
    witness, built = tmp_path / "witness", tmp_path / "built.so"
    source = SOURCE.format(witness=witness).encode()
    subprocess.run(["gcc", "-x", "c", "-shared", "-fPIC", "-", "-o", str(built)], input=source, check=True)
    return Evil(add_code(bundles.spair(), built.read_bytes()), witness)

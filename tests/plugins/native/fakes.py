"""TensorRTs made up for tests, and child processes that open them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.tree import ROOT

SOURCE = Path(__file__).with_name("fake_tensorrt.cpp")


@dataclass(frozen=True)
class FakeTensorRT:
    """Library whose registry and logger have the tables of one generation."""

    soname: str
    generation: int
    """10 or 11."""
    version: int
    """Number that `getInferLibVersion` returns."""

    def build(self, folder: Path, compiler: str = "g++") -> Path:
        """Compile it into a folder under its soname."""
        path = folder / self.soname
        options = [f"-DGENERATION={self.generation}", f"-DVERSION={self.version}", f"-Wl,-soname,{self.soname}"]
        command = [compiler, "-std=c++17", "-shared", "-fPIC", "-fvisibility=hidden", "-Wall", "-Werror", *options]
        subprocess.run([*command, "-o", str(path), str(SOURCE), "-ldl"], check=True)
        return path


FAKES = (
    FakeTensorRT("libnvinfer.so.10", 10, 100300),
    FakeTensorRT("libnvinfer.so.11", 11, 110100),
    FakeTensorRT("libtensorrt_rtx.so.1", 11, 10701),
)
"""One for each layout and name: TensorRT 10.3 and 11.1, and TensorRT-RTX 1.7.1."""


def run_child(
    script: str, *arguments: object, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python statements in a process of their own, which has opened no TensorRT yet."""
    variables = {**os.environ, **(environment or {}), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)

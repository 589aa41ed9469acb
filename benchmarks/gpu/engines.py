"""Engines for the GPU at hand: the shipped graphs with our plugins, and dense through the function bodies."""

from __future__ import annotations

import importlib.util
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import torch

from benchmarks.gpu.engine_runner import EngineRunner
from spair.export import export_checkpoint
from spair.export.engine import EngineOptions, build_engine, builder_of
from spair.export.engine_graph import prepare_engine_graph
from spair.plugins.compiler.build import build_plugins
from spair.plugins.compiler.cache import Cache
from spair.plugins.compiler.compilation import Settings
from spair.plugins.compiler.targets import TARGETS, Target
from spair.runtime import Bundle
from spair.runtime.tuning import cache_folder

CHECKPOINT = "rain-tiny.safetensors"


def find_reason() -> str | None:
    """Why nothing of this can run here; None if it can."""
    if not torch.cuda.is_available():
        return "PyTorch finds no NVIDIA GPU"
    if not any(importlib.util.find_spec(package) for package in ("tensorrt", "tensorrt_rtx")):
        return "neither tensorrt nor tensorrt_rtx is installed"
    if choose_target() is None:
        major, minor = torch.cuda.get_device_capability()
        return f"no target has GPUs of compute capability {major}.{minor} and a TensorRT that is installed here"
    return None


def choose_target() -> Target | None:
    """The target with this machine's processor, GPU and TensorRT; full TensorRT before TensorRT-RTX."""
    major, minor = torch.cuda.get_device_capability()
    for target in sorted(TARGETS, key=lambda target: target.rtx):
        package = "tensorrt_rtx" if target.rtx else "tensorrt"
        fits = 10 * major + minor in target.architectures and target.machine == platform.machine()
        if fits and importlib.util.find_spec(package):
            return target
    return None


@dataclass(frozen=True)
class Setup:
    """A bundle, the plugin library for this GPU, and where temporary files go."""

    bundle: Bundle
    target: Target
    package: str
    library: Path
    folder: Path

    @contextmanager
    def engine(self, precision: str, options: EngineOptions, *, plugins: bool) -> Iterator[EngineRunner]:
        """An engine of the whole network: sparse with the plugins, dense without."""
        graph = self.folder / f"{precision}.onnx"
        graph.write_bytes(prepare_engine_graph(self.bundle.graph(precision, "model")))
        library = self.library if plugins else None
        built = build_engine(graph, library, self.target, options)
        with EngineRunner(self.package, built.plan, library) as runner:
            yield runner


@contextmanager
def make_setup(bundle: Path | None = None) -> Iterator[Setup]:
    """Everything for this GPU.

    Args:
        bundle: an exported, perhaps calibrated bundle; by default the shipped checkpoint is exported.
    """
    target = choose_target()
    assert target is not None, find_reason()
    package, _ = builder_of(target)
    with tempfile.TemporaryDirectory(prefix="spair-gpu-") as name:
        folder = Path(name)
        if bundle is None:
            bundle = folder / "rain-tiny.spair"
            with as_file(files("spair.network.weights") / CHECKPOINT) as path:
                export_checkpoint(path, bundle)
        made = build_plugins(target, Settings(os.cpu_count() or 1, Cache(cache_folder() / "builds")))
        library = folder / "libspair_plugins.so"
        library.write_bytes(made.library)
        yield Setup(Bundle.open(bundle), target, package, library, folder)

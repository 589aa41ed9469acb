"""Engines for this machine's GPU, with our plugins or dense.

They come from the shipped graphs; dense engines run the function bodies. Two variables name what was made elsewhere,
for machines such as a Jetson, where Triton compiles nothing: $SPAIR_GPU_LIBRARY a libspair_plugins.so (of `spair
build`, for the target of this GPU), and $SPAIR_GPU_BUNDLE a bundle (without it the shipped checkpoint is exported).
"""

from __future__ import annotations

import copy
import importlib.util
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import onnx
import torch

from benchmarks.gpu.harness.engine_runner import EngineRunner
from spair.calibration.conversion.convert import ConvertPrecision
from spair.calibration.conversion.plan import PrecisionPlan
from spair.calibration.variants import Variant
from spair.export.engines.builder import build_engine
from spair.export.engines.graph import prepare_engine_graph
from spair.export.engines.options import EngineOptions
from spair.export.engines.packages import builder_of
from spair.export.exporter import export_checkpoint
from spair.plugins.compiler.build import build_plugins, take_library
from spair.plugins.compiler.cache import Cache
from spair.plugins.compiler.kernels.compilation import Settings
from spair.plugins.compiler.targets import TARGETS, Target
from spair.runtime import Bundle
from spair.runtime.cache import cache_folder

CHECKPOINT = "rain-tiny.safetensors"
LIBRARY, BUNDLE = "SPAIR_GPU_LIBRARY", "SPAIR_GPU_BUNDLE"
SCALE = 0.03125
"""Scale of every INT8 tensor in `convert`, which covers values up to 4."""


def find_reason() -> str | None:
    """Say why no engine can run here, or return None."""
    if not torch.cuda.is_available():
        return "PyTorch finds no NVIDIA GPU"
    if not any(importlib.util.find_spec(package) for package in ("tensorrt", "tensorrt_rtx")):
        return "neither tensorrt nor tensorrt_rtx is installed"
    if choose_target() is None:
        major, minor = torch.cuda.get_device_capability()
        return f"no target has GPUs of compute capability {major}.{minor} and a TensorRT that is installed here"
    if not os.environ.get(LIBRARY) and importlib.util.find_spec("triton") is None:
        return f"Triton, which compiles the plugins, is not installed; or let ${LIBRARY} name a libspair_plugins.so"
    return None


def choose_target() -> Target | None:
    """Choose the target with this machine's processor, GPU and TensorRT.

    Full TensorRT comes before TensorRT-RTX.
    """
    major, minor = torch.cuda.get_device_capability()
    for target in sorted(TARGETS, key=lambda target: target.rtx):
        package = "tensorrt_rtx" if target.rtx else "tensorrt"
        fits = 10 * major + minor in target.architectures and target.machine == platform.machine()
        if fits and importlib.util.find_spec(package):
            return target
    return None


@dataclass(frozen=True)
class Setup:
    """Bundle, plugin library and temporary folder for this GPU."""

    bundle: Bundle
    target: Target
    package: str
    library: Path
    folder: Path

    @contextmanager
    def engine(
        self, precision: str, options: EngineOptions, *, plugins: bool, source: Path | None = None
    ) -> Iterator[EngineRunner]:
        """Build and open an engine of the whole network.

        It is sparse with the plugins, and dense without. `source` names another graph of the network.
        """
        graph = self.folder / f"{precision}.onnx"
        graph.write_bytes(prepare_engine_graph(source or self.bundle.graph(precision, "model")))
        library = self.library if plugins else None
        built = build_engine(graph, library, self.target, options)
        with EngineRunner(self.package, built.plan, library) as runner:
            yield runner


def convert(bundle: Bundle, precision: str, path: Path) -> Path:
    """Write the whole network in FP16 or INT8.

    Its ranges are not measured: any will do to compare two runtimes.
    """
    network = Variant(bundle, threads=1)
    layers = {layer.name: precision for layer in network.layers}
    scales = {use.key: SCALE for layer in network.layers for use in layer.uses}
    model = copy.deepcopy(network.models["model"])
    ConvertPrecision(PrecisionPlan(layers, "fp16", scales), "model")(model)
    onnx.save(model, path)
    return path


@contextmanager
def make_setup(bundle: Path | None = None) -> Iterator[Setup]:
    """Make everything that engines for this GPU need.

    Args:
        bundle: exported, perhaps calibrated bundle. By default it is the one of $SPAIR_GPU_BUNDLE, else the shipped
            checkpoint is exported.

    Raises:
        UserError: the bundle does not open.
        PluginError: the library does not open or fit; the message says why.
    """
    target = choose_target()
    assert target is not None, find_reason()
    package, _ = builder_of(target)
    with tempfile.TemporaryDirectory(prefix="spair-gpu-") as name:
        folder = Path(name)
        bundle = bundle or find_bundle(folder)
        library = folder / "libspair_plugins.so"
        library.write_bytes(_make_library(target))
        yield Setup(Bundle.open(bundle), target, package, library, folder)


def find_bundle(folder: Path) -> Path:
    """Return the bundle that the variable names.

    Without the variable the shipped checkpoint is exported into a folder.
    """
    named = os.environ.get(BUNDLE)
    if named:
        return Path(named)
    path = folder / "rain-tiny.spair"
    with as_file(files("spair.network.weights") / CHECKPOINT) as checkpoint:
        export_checkpoint(checkpoint, path)
    return path


def compile_library(target: Target) -> bytes:
    """Compile the plugin library of a target with all cores."""
    return build_plugins(target, Settings(os.cpu_count() or 1, Cache(cache_folder() / "builds"))).library


def _make_library(target: Target) -> bytes:
    named = os.environ.get(LIBRARY)
    return take_library(Path(named), target).library if named else compile_library(target)

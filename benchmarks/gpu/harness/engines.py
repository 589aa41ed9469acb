"""Engines for this machine's GPU.

They are built and opened by the product's own functions.

Two variables name what was made elsewhere, for machines such as a Jetson, where Triton compiles nothing:
$SPAIR_GPU_LIBRARY a libspair_plugins.so (of `spair build`, for a target with this GPU), and $SPAIR_GPU_BUNDLE a bundle
(without it that of the shipped weights for rain is taken).
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import onnx

from benchmarks.gpu.harness.precisions import add_precision
from spair.export.counts.layers import list_layers
from spair.export.engines.builder import Supervision, build_engine
from spair.export.engines.graph import prepare_engine_graph, rewrite_for_plugins
from spair.export.engines.local import LOCAL, advise_library, make_local_target
from spair.export.engines.options import EngineOptions
from spair.export.engines.packages import builder_of, find_memory_limit
from spair.export.engines.target import build_target
from spair.plugins.compiler.build import build_plugins
from spair.plugins.compiler.cache import Cache
from spair.plugins.compiler.kernels.compilation import Settings
from spair.plugins.compiler.kernels.variants import Layer, list_variants
from spair.plugins.compiler.targets import Target
from spair.plugins.cost import NumberType
from spair.runtime import Bundle
from spair.runtime.bundle.engines import WHOLE
from spair.runtime.cache import cache_folder
from spair.runtime.cuda import open_cuda
from spair.runtime.cuda import unavailable as no_cuda
from spair.runtime.engine.graph import EngineGraph
from spair.runtime.engine.opening import open_engine_network
from spair.runtime.engine.pool import SlotPool
from spair.runtime.engine.slot import SlotOptions
from spair.runtime.engine.tensorrt import TensorRT
from spair.runtime.errors import UserError
from spair.runtime.machine.gpu import find_device
from spair.runtime.shipped import resolve_model

TYPES: tuple[tuple[NumberType, NumberType, NumberType], ...] = (
    ("fp32", "fp32", "fp32"),
    ("fp16", "fp16", "fp16"),
    ("fp16", "int8", "fp16"),
)
"""Types of x, of the weights and of the output that benchmarks take."""
LIBRARY, BUNDLE = "SPAIR_GPU_LIBRARY", "SPAIR_GPU_BUNDLE"


def find_reason() -> str | None:
    """Say in one sentence why no engine can run here.

    None if one can be built and run.
    """
    try:
        find_device()
        target = make_local_target("BUNDLE")
    except UserError as error:
        return str(error)
    if not os.environ.get(LIBRARY) and advise_library(target, "BUNDLE") is not None:
        return f"Triton, which compiles the plugins, is not installed; or let ${LIBRARY} name a libspair_plugins.so"
    return no_cuda()


def find_bundle() -> Path:
    """Return the bundle that the variable names.

    Without the variable it is that of the shipped weights for rain.
    """
    return Path(os.environ.get(BUNDLE) or resolve_model("rain"))


def name_library() -> Path | None:
    """Return the plugin library that the variable names, if any."""
    named = os.environ.get(LIBRARY)
    return Path(named) if named else None


def build_bundle(folder: Path, precisions: Sequence[str], options: EngineOptions, source: Path | None = None) -> Bundle:
    """Copy a bundle and build its engines.

    They are for this machine, as those of `spair build --target local`.

    Args:
        folder: folder for the copy.
        precisions: "fp32", "fp16" or "int8"; graphs that the bundle lacks are made without measured ranges.
        options: how the engines are built.
        source: the bundle; None: see `find_bundle`.

    Raises:
        UserError, PluginError: the bundle, the library or a tool cannot be used.
        GateError: an engine does not restore pictures as ONNX Runtime does.
    """
    source = source or find_bundle()
    path = Path(shutil.copytree(source, folder / source.resolve().name))
    bundle = Bundle.open(path)
    for precision in precisions:
        bundle = add_precision(bundle, precision)
    build_target(path, LOCAL, options, precisions=precisions, library=name_library())
    return Bundle.open(path)


@contextmanager
def open_sparse(bundle: Bundle, precision: str) -> Iterator[EngineGraph]:
    """Open the whole network's engine, see `build_bundle`."""
    with closing(open_engine_network(bundle, precision, trust_code=True)) as network:
        yield network.whole


@contextmanager
def open_alone(
    bundle: Bundle, precision: str, options: EngineOptions, library: Path | None = None
) -> Iterator[EngineGraph]:
    """Build and open an engine without a bundle.

    It is the whole network, built by the package and with the limits that `build_bundle` has.

    Args:
        bundle: the bundle whose graph is built.
        precision: a precision that it has.
        options: how the engine is built.
        library: plugin library for our nodes; None: they run as their function bodies, which makes a dense engine.

    Raises:
        UserError: the builder is missing, or refuses the graph.
        EngineError: TensorRT does not load what it built.
    """
    target = make_local_target(str(bundle.path))
    supervision = Supervision(memory=find_memory_limit(find_device()))
    with tempfile.TemporaryDirectory(prefix="spair-gpu-") as name:
        source = Path(name) / f"{precision}.onnx"
        source.write_bytes(prepare_engine_graph(bundle.graph(precision, WHOLE), pixels=True))
        plan = build_engine(source, library, target, options, supervision=supervision).plan
    cuda = open_cuda()
    with cuda.current():
        runtime = TensorRT(builder_of(target)[0]).open_runtime(library)
        engine = runtime.load_engine(plan, f"the {precision} engine")
    graph = EngineGraph(engine.tensors, SlotPool(cuda, engine, lead="image", slots=1, options=SlotOptions()))
    del engine  # the graph lets it go when it is closed
    try:
        with closing(graph):
            yield graph
    finally:
        with cuda.current():  # after its engine, as in the product
            del runtime


def compile_library(target: Target) -> bytes:
    """Compile the plugin library of a target with all cores.

    The layers of the bundle of `find_bundle` get kernels of their own, in several tilings.
    """
    layers = list_network_layers(onnx.load(str(Bundle.open(find_bundle()).graph("fp32", WHOLE))))
    settings = Settings(os.cpu_count() or 1, Cache(cache_folder() / "builds"))
    return build_plugins(
        target, settings, variants=functools.partial(list_variants, layers=layers, alternatives=True)
    ).library


def list_network_layers(graph: onnx.ModelProto) -> list[Layer]:
    """List the layers of an exported graph in `TYPES`.

    They are those that an engine has, and those of the first version, which are not rewritten for lists. The graph is
    rewritten in place.
    """
    found = set(list_layers(graph))
    rewrite_for_plugins(graph)
    found |= list_layers(graph)
    sizes = sorted({(one.kernel, one.channels, one.outputs, one.coarse, one.joined) for one in found})
    return [Layer(*types, *size) for types in TYPES for size in sizes]

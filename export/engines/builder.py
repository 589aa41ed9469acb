"""Build of one engine from one graph.

TensorRT runs in a child process. The layers of the parsed network prove that each plugin took its node, and that no
other node changed.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx

from ...plugins.compiler.targets import Target
from ...runtime.children import make_python_command
from ...runtime.errors import GateError, UserError
from ...runtime.machine.gpu import Device, find_device
from ..operators.table import DOMAIN

PLUGIN_LAYER = "PLUGIN_V3"
"""TensorRT's name of the type of a plugin layer."""
_WORKER = Path(__file__).with_name("worker.py")
_RUN = "import runpy; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
"""Python statements that run a file. Its folder is not on the module path, where our files would hide other modules."""


@dataclass(frozen=True)
class EngineOptions:
    """Options of an engine's build.

    Pictures up to the largest size, and batches up to `batch`, run on the engine.
    """

    usual: tuple[int, int] = (1280, 720)
    """Width and height in pixels that the engine is tuned for."""
    largest: tuple[int, int] = (1920, 1080)
    """Largest width and height in pixels."""
    batch: int = 1
    """Largest number of pictures at a time."""
    tf32: bool = False
    """Whether FP32 products may lose 13 bits, as they do by TensorRT's own default."""
    level: int | None = None
    """Optimization level of TensorRT's builder, 0 to 5. None: its own default."""

    def __post_init__(self) -> None:
        fits = all(1 <= usual <= most for usual, most in zip(self.usual, self.largest, strict=True))
        if not fits or self.batch < 1:
            raise UserError(
                f"the usual size {_size(self.usual)} must lie within the largest size {_size(self.largest)}, and the "
                f"batch be at least 1, got {self.batch}"
            )
        if self.level is not None and not 0 <= self.level <= 5:
            raise UserError(f"the optimization level must be 0 to 5, got {self.level}")

    def shapes(self, channels: int = 3) -> list[list[int]]:
        """Return the least, usual and largest shape `[N,C,H,W]` of pictures."""
        usual, most = ([*reversed(size)] for size in (self.usual, self.largest))
        return [[1, channels, 1, 1], [1, channels, *usual], [self.batch, channels, *most]]


@dataclass(frozen=True)
class Engine:
    """Engine that TensorRT built."""

    plan: bytes
    """Content of the engine's file."""
    layers: int
    """Number of layers of the parsed network."""
    plugin_layers: int
    """Number of plugins among them."""


def builder_of(target: Target) -> tuple[str, str]:
    """Return the package that builds a target's engines.

    The second value is its version.

    Raises:
        UserError: the package is not installed, or this machine or its GPU is not the target's. The message says where
            to build.
    """
    if target.rtx:
        package, name = "tensorrt_rtx", "tensorrt-rtx-cu13"
    elif target.machine == platform.machine():
        package, name = "tensorrt", "tensorrt"
    else:
        raise UserError(
            f"engines for {target.name} are built on the target itself, this machine is {platform.machine()}"
        )
    if importlib.util.find_spec(package) is None:
        remedy = "pip install 'spair-rt[rtx]'" if target.rtx else "it is part of JetPack and of NVIDIA's packages"
        raise UserError(f"engines for {target.name} are built by the package {name}, which is not installed; {remedy}")
    find_target_device(target)
    return package, _version(package, name)


def find_target_device(target: Target) -> Device | None:
    """Return this machine's GPU that a target's engines need.

    It is None for a target whose engines are built without a GPU.

    Raises:
        UserError: the machine has no GPU, or a GPU that the target does not have.
    """
    if target.rtx:
        return None
    try:
        device = find_device()
    except UserError as error:
        raise UserError(f"engines for {target.name} are built on the target itself: {error}") from error
    if device.architecture not in target.architectures:
        names = " or ".join(f"{sm // 10}.{sm % 10}" for sm in target.architectures)
        raise UserError(
            f"engines for {target.name} are built on the target itself: this machine's {device.name} has compute "
            f"capability {device.architecture // 10}.{device.architecture % 10}, expected {names}"
        )
    return device


def _version(package: str, name: str) -> str:
    for distribution in (package, name):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return str(importlib.import_module(package).__version__)  # Debian's packages have no metadata


def build_engine(graph: Path, library: Path | None, target: Target, options: EngineOptions) -> Engine:
    """Build the engine of a graph.

    Args:
        graph: the ONNX file, whose only input is `image`.
        library: libspair_plugins.so for the nodes of domain `spair`; None: they run as their function bodies.
        target: the machine to build for; TensorRT-RTX builds ahead of time, TensorRT for the GPU of this machine.
        options: how the engine is built.

    Raises:
        UserError: the builder is missing, or refuses the graph or the library.
        GateError: a node did not become a plugin, or another layer changed.
    """
    package, _ = builder_of(target)
    model = onnx.load(str(graph), load_external_data=False)
    nodes = read_nodes(model, graph)
    defined = {function.name for function in model.functions if function.domain == DOMAIN}
    with tempfile.TemporaryDirectory(prefix="spair-engine-") as name:
        folder = Path(name)
        job = {
            "module": package,
            "graph": str(graph.resolve()),
            "library": str(library.resolve()) if library else None,
            "engine": str(folder / "engine"),
            "architectures": list(target.architectures) if target.rtx else None,
            "inputs": {"image": options.shapes()},
            "tf32": options.tf32,
            "level": options.level,
            "bodies": {node.op_type for node in model.graph.node if node.domain == DOMAIN} <= defined,
        }
        answer = _run_worker(job, folder)
        if "error" in answer:
            raise UserError(f"{package} builds no engine from {graph}: {answer['error']}")
        plugins = check_layers(nodes, answer["layers"], answer["bodies"]) if library else 0
        return Engine((folder / "engine").read_bytes(), len(answer["layers"]), plugins)


def read_nodes(model: onnx.ModelProto, where: Path) -> dict[str, str]:
    """Return the domains of nodes with unique names.

    Raises:
        UserError: a node of domain `spair` shares its name or has none, so its layer could not be told from others.
    """
    nodes = model.graph.node
    count = Counter(node.name for node in nodes)
    named = {node.name: node.domain for node in nodes if node.name and count[node.name] == 1}
    for node in nodes:
        if node.domain == DOMAIN and node.name not in named:
            raise UserError(f"the graph {where} has a {node.op_type} without a name of its own; export it again")
    return named


def check_layers(nodes: Mapping[str, str], layers: list[list[str]], bodies: list[list[str]] | None) -> int:
    """Count the plugin layers and check that they are right.

    Each node of domain `spair` must be one plugin. All other nodes must have the layers that they have without plugins.

    Args:
        nodes: domain of the graph's nodes, by name.
        layers: name and type of the network's layers; the parser gives them the names of their nodes.
        bodies: name and type of the layers without plugins; None for a graph without function bodies.

    Raises:
        GateError: a node of domain `spair` is not a plugin, another layer is one, or another node changed its type.
    """
    found = _by_name(layers)
    expected = {name for name, domain in nodes.items() if domain == DOMAIN}
    plugins = [name for name, kind in layers if kind == PLUGIN_LAYER]
    lost = sorted(expected - set(plugins))
    if lost or len(plugins) != len(expected):
        raise GateError(
            f"the parser made {len(plugins)} plugin layers of {len(expected)} nodes of domain {DOMAIN}"
            + (f"; {lost[0]} became {found.get(lost[0], 'other layers')}" if lost else "")
        )
    before = found if bodies is None else _by_name(bodies)
    for name, domain in nodes.items():
        if domain != DOMAIN and found.get(name) != before.get(name):
            raise GateError(
                f"with the plugins the node {name} became {found.get(name)}, without them {before.get(name)}; "
                "a plugin may change nodes of the domain spair only"
            )
    return len(plugins)


def _by_name(layers: list[list[str]]) -> dict[str, str]:
    return {name: kind for name, kind in layers}  # noqa: C416  dict() of lists is no dict[str, str] to type checkers


def _run_worker(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    request, result = folder / "job.json", folder / "result.json"
    request.write_text(json.dumps(job))
    command = make_python_command(_RUN, str(_WORKER), str(request), str(result))
    environment = _make_environment(job["module"], folder)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if not result.is_file():
        words = " ".join(done.stderr.split())[-400:]
        return {"error": f"its process ended with code {done.returncode}" + (f" ({words})" if words else "")}
    answer: dict[str, Any] = json.loads(result.read_text())
    return answer


def _make_environment(package: str, folder: Path) -> dict[str, str]:
    """Make the environment of a process that parses with TensorRT-RTX.

    Its parser opens `libtensorrt_rtx.so`, and ends the process when the file is missing. The package has only
    `libtensorrt_rtx.so.1`, so links of the short names are made, and the loader reads LD_LIBRARY_PATH only when a
    process starts.
    """
    links = folder / "links"
    links.mkdir()
    spec = importlib.util.find_spec(f"{package}_libs")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for place in folders:
        for library in Path(place).glob("lib*.so.*"):
            link = links / f"{library.name.partition('.so.')[0]}.so"
            if not link.exists():
                link.symlink_to(library)
    paths = [str(links), *folders, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(paths)}


def describe_options(options: EngineOptions) -> dict[str, Any]:
    """Return the options as JSON values."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(options).items()}


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"

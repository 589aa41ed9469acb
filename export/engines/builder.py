"""Build of one engine from one graph.

TensorRT runs in a child process. The layers of the parsed network prove that each plugin took its node, and that no
other node changed.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto

from ...plugins.compiler.targets import Target
from ...runtime.children import make_python_command
from ...runtime.clock import ReportProgress
from ...runtime.errors import GateError, UserError
from ...runtime.graphs import list_outside
from ...temporary.places import place_beside, scratch_folder
from ..operators.table import DOMAIN
from .child.phases import PhaseProgress
from .child.process import make_environment, run_child
from .options import EngineOptions
from .packages import builder_of

Profile = Mapping[str, list[list[int]]]
"""Least, usual and largest shape of each input by its name."""
PLUGIN_LAYER = "PLUGIN_V3"
"""TensorRT's name of the type of a plugin layer."""
_MEMORY = re.compile(r"SIGKILL|memory ran out|out of memory|OutOfMemory|insufficient memory", re.IGNORECASE)
"""Words of ends and messages whose reason is memory."""
_WORKER = Path(__file__).with_name("child") / "worker.py"
_RUN = "import runpy; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
"""Python statements that run a file. Its folder is not on the module path, where our files would hide other modules."""


@dataclass(frozen=True)
class Supervision:
    """Care for a build that does not change its engine."""

    progress: ReportProgress = lambda step: None
    """Function that is called with the builder's phases."""
    timeout: float | None = None
    """Seconds until the build is stopped; None for no limit."""
    timing: Path | None = None
    """File that keeps the timings of layers from build to build; None keeps nothing."""
    memory: int | None = None
    """Bytes that the layers may use where the options name no workspace; None: TensorRT's own limit."""


@dataclass(frozen=True)
class Engine:
    """Engine that TensorRT built."""

    plan: bytes
    """Content of the engine's file."""
    layers: int
    """Number of layers of the parsed network."""
    plugin_layers: int
    """Number of plugins among them."""
    notes: tuple[str, ...] = ()
    """Sentences about checks that could not be made."""


def build_engine(
    graph: Path,
    library: Path | None,
    target: Target,
    options: EngineOptions,
    *,
    profile: Profile | None = None,
    outputs: Sequence[str] = (),
    supervision: Supervision | None = None,
) -> Engine:
    """Build the engine of a graph.

    Args:
        graph: the ONNX file.
        library: libspair_plugins.so for the nodes of domain `spair`; None: they run as their function bodies.
        target: the machine to build for; TensorRT-RTX builds ahead of time, TensorRT for the GPU of this machine.
        options: how the engine is built.
        profile: shapes of the inputs; None: the only input is `image`, of the sizes of the options.
        outputs: names of tensors that become outputs too.
        supervision: progress and limits; None for none.

    Raises:
        UserError: the builder is missing, refuses the graph or the library, dies, or takes too long; the graph leaves
            weights in another file, which could be any, see `prepare_engine_graph`.
        GateError: a node did not become a plugin, or another layer changed.
    """
    care = supervision or Supervision()
    model = _load(graph)
    package, _ = builder_of(target)
    nodes = read_nodes(model, graph)
    memory = care.memory if options.workspace is None else options.workspace << 20
    timing = None if target.rtx else care.timing  # where RTX has none
    with scratch_folder("engine") as folder, _place_beside(timing) as timing_part:
        job = {
            "module": package,
            "graph": str(graph.resolve()),
            "library": str(library.resolve()) if library else None,
            "engine": str(folder / "engine"),
            "architectures": list(target.architectures) if target.rtx else None,
            "inputs": profile or _profile_of_pictures(model, options),
            "outputs": list(outputs),
            "tf32": options.tf32,
            "level": options.level,
            "memory": memory,
            "timing": str(timing) if timing else None,
            "timing_part": str(timing_part) if timing_part else None,
            "bodies": _has_bodies(model),
        }
        answer = run_worker(job, folder, care)
        if "error" in answer:
            advice = advise_memory(answer["error"], memory)
            raise UserError(f"{package} builds no engine from {graph}: {answer['error']}{advice}")
        plugins = check_layers(nodes, answer["layers"], answer["bodies"]) if library else 0
        return Engine((folder / "engine").read_bytes(), len(answer["layers"]), plugins, tuple(answer["notes"]))


def advise_memory(error: str, limit: int | None) -> str:
    """Say how a build gets along with less memory.

    Args:
        error: reason why there is no engine.
        limit: bytes that the layers could use; None where TensorRT set its own limit.

    Returns:
        The end of a sentence; empty where memory was not the reason.
    """
    if not _MEMORY.search(error):
        return ""
    had = "" if limit is None else f", whose layers could use {limit / 2**30:.1f} GiB"
    return (
        f"{had}; give less to them (--workspace MIB), take a smaller --max-size, close other programs, or add swap, "
        "which takes what those hold (on a Jetson, spair doctor has the commands); nothing was changed"
    )


def _load(graph: Path) -> onnx.ModelProto:
    """Load a graph that holds all of its weights."""
    outside = list_outside(graph)
    if outside:
        raise UserError(
            f"no engine is built from {graph}: it takes weights from the file {outside[0]!r}, which nothing vouches "
            "for; give a graph of a bundle as spair build prepares it"
        )
    return onnx.load(str(graph), load_external_data=False)


def _place_beside(file: Path | None) -> contextlib.AbstractContextManager[Path | None]:
    """Give a free path beside a file, if any."""
    return contextlib.nullcontext() if file is None else place_beside(file)


def _profile_of_pictures(model: onnx.ModelProto, options: EngineOptions) -> Profile:
    planes = any(value.type.tensor_type.elem_type == TensorProto.FLOAT for value in model.graph.input)
    return {"image": options.shapes(planes=planes)}


def _has_bodies(model: onnx.ModelProto) -> bool:
    """Tell whether each of our nodes has a body."""
    defined = {function.name for function in model.functions if function.domain == DOMAIN}
    return {node.op_type for node in model.graph.node if node.domain == DOMAIN} <= defined


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


def run_worker(job: dict[str, Any], folder: Path, supervision: Supervision) -> dict[str, Any]:
    """Run a build in a child process.

    Args:
        job: see `build` of the worker.
        folder: empty folder for files of the build.
        supervision: progress and limits.

    Returns:
        What the worker returns, or {"error": the reason}.
    """
    request, result = folder / "job.json", folder / "result.json"
    request.write_text(json.dumps(job))
    command = make_python_command(_RUN, str(_WORKER), str(request), str(result))
    phases = PhaseProgress(job["module"], supervision.progress)
    reason = run_child(command, folder, make_environment(job["module"], folder), phases.read_line, supervision.timeout)
    if not result.is_file():
        return {"error": reason or "its process ended without a result"}
    answer: dict[str, Any] = json.loads(result.read_text())
    return answer


def describe_options(options: EngineOptions) -> dict[str, Any]:
    """Return the options as JSON values."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(options).items()}

"""Search for the engines that fit, and their opening."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ..backends.base import Graph
from ..bundle.engines import Host, StoredEngine, find_engine
from ..bundle.precision import AUTO
from ..bundle.reader import Bundle
from ..cuda import Cuda, open_cuda
from ..cuda import unavailable as no_cuda
from ..errors import UserError, quote
from ..graphs import THRESHOLD, find_logit_of, read_graph
from ..machine.gpu import find_device
from ..tiling.spec import SpairNetwork
from ..trust import check_trusted, read_trusted, take_library
from .graph import EngineGraph, GraphOnDemand
from .network import EngineNetwork
from .pool import SlotPool
from .slot import SlotOptions
from .tensorrt import EngineRuntime, TensorRT, find_packages

FASTEST = ("fp16", "int8", "fp32")
"""Precisions in the order in which "auto" looks for an engine; INT8 engines are slower than FP16 today."""
SLOTS = 2
"""Pictures that one engine computes at a time: one may be copied while another is computed."""
PARTS = ("net_l", "net_r")
"""Graphs whose engines restore what the engine of the whole network does not take."""
_LOG = logging.getLogger("spair.tensorrt")


@dataclass(frozen=True)
class Choice:
    """Engine that fits the machine."""

    target: str
    precision: str
    package: str
    """Python package that runs it."""
    host: Host
    whole: StoredEngine


def _leave_alone(graph: Graph) -> Graph:
    return graph


def unavailable() -> str | None:
    """Say why no engine can run on this machine.

    None if one can.
    """
    if not find_packages():
        return "TensorRT's Python package is not installed; pip install 'spair-rt[tensorrt]', on Jetson use JetPack's"
    reason = no_cuda()
    if reason:
        return reason
    try:
        find_device()
    except UserError as error:
        return str(error)
    return None


def has_engines(bundle: Bundle) -> bool:
    """Tell whether a bundle has engines at all."""
    return any(entry.get("engines") for entry in bundle.manifest.targets.values())


def choose_engine(bundle: Bundle, precision: str) -> Choice:
    """Choose an engine of a bundle that fits this machine.

    The engine that was built on this machine's own GPU comes first.

    Args:
        bundle: the bundle.
        precision: "fp32", "fp16", "int8"; "auto" takes the first of `FASTEST` that has an engine.

    Raises:
        UserError: no engine can run here, or none fits; the message has the reason of each.
    """
    reason = unavailable()
    if reason:
        raise UserError(f"the backend tensorrt is not available: {reason}")
    targets = sorted(bundle.manifest.targets, key=lambda name: name != "local")
    reasons: list[str] = []
    for wanted in FASTEST if precision == AUTO else (precision,):
        for target in targets:
            if wanted not in bundle.manifest.targets[target].get("engines", {}):
                continue
            for package in find_packages():
                host = describe_host(package)
                try:
                    return Choice(target, wanted, package, host, find_engine(bundle, target, wanted, host))
                except UserError as error:
                    reasons.append(str(error))
    raise UserError(
        "; ".join(dict.fromkeys(reasons))
        or f"the bundle {bundle.path} has no {precision} engine; build it: "
        f"spair build {quote(bundle.path)} --target local"
    )


def describe_host(package: str) -> Host:
    """Describe this machine to the keys of engines."""
    return Host.of(package, TensorRT(package).version, find_device())


def open_engine_network(
    bundle: Bundle,
    precision: str,
    *,
    slots: int | None = None,
    options: SlotOptions | None = None,
    trust_code: bool = False,
) -> EngineNetwork:
    """Open the engines of a bundle as a network.

    See `open_engines` for the arguments and errors.
    """
    return open_engines(bundle, precision, slots=slots, options=options, trust_code=trust_code).open_network()


def open_engines(
    bundle: Bundle,
    precision: str,
    *,
    slots: int | None = None,
    options: SlotOptions | None = None,
    trust_code: bool = False,
) -> EngineOpening:
    """Choose the engines of a bundle and open their runtime.

    Args:
        bundle: a bundle of a two-stage network.
        precision: see `choose_engine`.
        slots: pictures that an engine computes at a time; None: `SLOTS`.
        options: how slots wait and repeat.
        trust_code: load the library and the engines though nobody has trusted them.

    Raises:
        UserError: `slots` is less than 1, no engine fits, one is of another version, a graph contradicts the manifest,
            or the code is not trusted.
        EngineError: TensorRT refuses the library.
    """
    if slots is not None and slots < 1:
        raise UserError(
            f"the number of threads is {slots}, expected 1 or more pictures that an engine computes at a time"
        )
    choice = choose_engine(bundle, precision)
    bundle.check_graphs(choice.precision)  # which the engine's key is tied to, and the manifest's numbers are about
    assert isinstance(bundle.manifest.network, SpairNetwork), "engines are built for SPAIR networks alone"
    if not trust_code:
        check_trusted(_list_code(bundle, choice), bundle=bundle.path)
    library = take_library(choice.whole.library, bundle=bundle.path, trust_code=trust_code)
    cuda, package = open_cuda(), TensorRT(choice.package)
    with cuda.current():
        runtime = package.open_runtime(library)
        return EngineOpening(bundle, choice, cuda, runtime, slots or SLOTS, options or SlotOptions(), trust_code)


def _list_code(bundle: Bundle, choice: Choice) -> list[Path]:
    """List all code at once, for one message."""
    parts = _list_parts(bundle, choice)
    found = [find_engine(bundle, choice.target, choice.precision, choice.host, part).plan for part in parts]
    return [choice.whole.library, choice.whole.plan, *found]


def _list_parts(bundle: Bundle, choice: Choice) -> list[str]:
    """List the parts that have engines."""
    entry = bundle.manifest.targets[choice.target]["engines"][choice.precision]
    return [part for part in PARTS if part in entry.get("parts", {})]


class EngineOpening:
    """Runtime of a bundle, which opens its engines."""

    def __init__(
        self,
        bundle: Bundle,
        choice: Choice,
        cuda: Cuda,
        runtime: EngineRuntime,
        slots: int,
        options: SlotOptions,
        trust_code: bool,
    ) -> None:
        self._bundle, self._cuda, self._trust_code = bundle, cuda, trust_code
        self.choice = choice
        """Engine that was chosen."""
        self.slots = slots
        """Pictures that an engine computes at a time."""
        self._runtime: EngineRuntime | None = runtime
        self._options = options

    def open_network(self, watch: Callable[[Graph], Graph] = _leave_alone) -> EngineNetwork:
        """Open the engines as a network.

        The network closes the runtime at its end.

        Args:
            watch: gets the graph of Net_R, and returns the graph that is run in its place.

        Raises:
            UserError: the engine of the whole network was changed.
            EngineError: TensorRT refuses it.
        """
        spec = self._bundle.manifest.network
        assert isinstance(spec, SpairNetwork)
        try:
            with self._cuda.current():
                whole = self.open(self.choice.whole)
        except BaseException:
            self.release()
            raise
        net_l, net_r = (GraphOnDemand(partial(self.open_part, part)) for part in PARTS)
        return EngineNetwork(spec, whole, net_l, watch(net_r), self.release)

    def open_part(self, part: str) -> EngineGraph:
        """Open the engine of a part.

        Raises:
            UserError: the bundle does not have it.
            EngineError: TensorRT refuses it.
        """
        choice = self.choice
        if part not in _list_parts(self._bundle, choice):
            raise UserError(
                f"the engine {choice.whole.plan} takes 8-bit RGB pictures up to its largest size, without a mask or "
                f"threshold; all others need an engine of {part}, which the bundle does not have: build it again with "
                f"spair build {quote(self._bundle.path)} --target {quote(choice.target)}, or use the backend "
                "onnxruntime"
            )
        with self._cuda.current():
            stored = find_engine(self._bundle, choice.target, choice.precision, choice.host, part)
            return self.open(stored, self._list_defaults(part))

    def _list_defaults(self, part: str) -> dict[str, np.ndarray]:
        """List what inputs get that nobody gives.

        The graph has its own threshold as a constant, and its engine, from this version on, as an input.
        """
        logit = find_logit_of(read_graph(self._bundle.graph(self.choice.precision, part)))
        return {} if logit is None else {THRESHOLD: np.array([logit], np.float32)}

    def open(self, stored: StoredEngine, defaults: Mapping[str, np.ndarray] | None = None) -> EngineGraph:
        """Load an engine; the CUDA context must be current."""
        assert self._runtime is not None
        plan = read_trusted(stored.plan, bundle=self._bundle.path, trust_code=self._trust_code)
        engine = self._runtime.load_engine(plan, str(stored.plan))
        pool = SlotPool(self._cuda, engine, lead="image", slots=self.slots, options=self._options)
        return EngineGraph(engine.tensors, pool, defaults)

    def release(self) -> None:
        """Let the runtime go, after its engines.

        The plugins are deregistered with it.
        """
        with self._cuda.current():
            self._runtime = None

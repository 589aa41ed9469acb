"""Files that a build adds to a bundle."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...plugins.compiler.build import Build
from ...plugins.compiler.cache import Cache
from ...plugins.compiler.library.autoload import AUTOLOAD
from ...plugins.compiler.library.linking import LIBRARY
from ...plugins.compiler.report import format_report
from ...plugins.compiler.targets import Target
from ...runtime.bundle.engines import SERVED, WHOLE
from ...runtime.bundle.reader import Bundle
from ...runtime.bundle.writer import Content
from ...runtime.clock import ReportProgress
from ...runtime.machine.board.stacks import list_stacks
from ..passes.pixels import Layout
from .builder import Engine, Supervision
from .estimate import BuildTimes, Estimate
from .graph import prepare_engine_graph
from .kit.order import KitOrder
from .kit.page import PAGE, write_page
from .kit.script import SCRIPT, write_script
from .options import EngineOptions
from .packages import ElsewhereError, builder_of, find_memory_limit, find_target_device
from .parts import Order, build_order, load_order, make_orders
from .programs.commands import make_build_command, make_trtexec_command, make_trtexec_load_command


@dataclass(frozen=True)
class Circumstances:
    """Surroundings of a build, which do not change its results."""

    cache: Cache = field(default_factory=Cache)
    """Cache of kernels and engines; in the folder beside its own are timings."""
    timeout: float | None = None
    """Seconds for each engine; None for no limit."""
    progress: ReportProgress = lambda step: None
    """Function that is called before each step."""
    announce: ReportProgress = lambda sentence: None
    """Function that is called with estimates of how long steps take."""

    @property
    def times(self) -> BuildTimes:
        """Seconds of earlier builds."""
        return BuildTimes(self.cache.folder and self.cache.folder.parent / "build-times.json")

    def timing(self, order: Order) -> Path | None:
        """Return the file of timings for an order.

        All builds on one GPU with one TensorRT share it.
        """
        if self.cache.folder is None:
            return None
        facts = (order.key.builder, order.key.version, order.key.device, order.key.driver)
        name = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:24]
        return self.cache.folder.parent / "timing" / f"{name}.cache"


@dataclass
class TargetFiles:
    """Files and facts that a build adds to a bundle."""

    files: dict[str, Content] = field(default_factory=dict)
    """Content of each file, by its path inside the bundle."""
    entry: dict[str, Any] = field(default_factory=dict)
    """Entry of the manifest's "targets" under the target's name."""
    digests: list[str] = field(default_factory=list)
    """Digests of the keys of the engines, under which the cache has them."""
    engines: list[dict[str, Any]] = field(default_factory=list)
    """Facts about each built engine, for the report of `spair build`."""
    commands: list[str] = field(default_factory=list)
    """Command lines that build the engines on the target, where they cannot be built here."""
    notes: list[str] = field(default_factory=list)
    """Sentences that say why engines were not built, or which checks were not made."""
    gates: dict[str, Any] = field(default_factory=dict)
    """Results of the comparison with the CPU by precision, see `GateReport`."""
    estimate: Estimate | None = None
    """Estimate from before the engines were built; None where none were."""


def collect_target(
    bundle: Bundle,
    target: Target,
    build: Build,
    precisions: Sequence[str],
    options: EngineOptions | None,
    around: Circumstances,
    *,
    served: bool = False,
) -> TargetFiles:
    """Collect the files that a build adds to a bundle.

    Engines are built here; nothing but the cache is written.

    Args:
        bundle: the bundle to build from.
        target: the machine to build for.
        build: the target's plugin library.
        precisions: see `check_operators`.
        options: how engines are built; None: the library alone.
        around: cache, limits and progress.
        served: build the engine of the served contract too.

    Raises:
        UserError, GateError: see `build_engine`.
    """
    folder = f"plugins/{target.name}"
    found = TargetFiles({f"{folder}/{LIBRARY}": build.library})
    found.entry.update(
        library=f"{folder}/{LIBRARY}", architectures=list(target.architectures), version=build.label.version
    )
    if build.autoload is not None:
        found.entry["autoload"] = f"{folder}/{AUTOLOAD}"
        found.files[found.entry["autoload"]] = build.autoload
    if build.report is not None:
        found.files[f"{folder}/kernels.json"] = (json.dumps(build.report, indent=1) + "\n").encode()
        found.files[f"{folder}/kernels.txt"] = format_report(build.report).encode()
        found.entry["report"] = f"{folder}/kernels.json"
    if list_stacks(target.name):
        _add_kit(found, KitOrder(target, tuple(precisions), options or EngineOptions(), served))
    if options is None:
        return found
    try:
        builder = builder_of(target)
    except ElsewhereError as error:
        if target.rtx:
            raise
        found.notes.append(str(error))
        _leave_to_target(found, bundle, target, precisions, options, served)
        return found
    orders = make_orders(bundle, target, build.library, precisions, options, builder, served=served)
    _build_orders(found, orders, target, build.library, options, around)
    return found


def _add_kit(found: TargetFiles, order: KitOrder) -> None:
    """Add the script and the page for a Jetson board."""
    for key, name, text in (("install", SCRIPT, write_script(order)), ("page", PAGE, write_page(order))):
        found.entry[key] = f"plugins/{order.target.name}/{name}"
        found.files[found.entry[key]] = text.encode()


def _build_orders(
    found: TargetFiles,
    orders: Sequence[Order],
    target: Target,
    library: bytes,
    options: EngineOptions,
    around: Circumstances,
) -> None:
    """Build engines and add them to the files."""
    times = around.times
    missing = [order.key for order in orders if load_order(order, around.cache) is None]
    found.estimate = times.estimate(missing, len(orders) - len(missing))
    around.announce(str(found.estimate))
    device = find_target_device(target) if missing and options.workspace is None else None
    memory = None if device is None else find_memory_limit(device)
    found.entry["engines"] = {}
    for number, order in enumerate(orders, start=1):
        what = f"building the {order.key.precision} engine of {order.key.part} ({number}/{len(orders)})"
        around.progress(what)

        def tell(phase: str, what: str = what) -> None:
            around.progress(f"{what}, {phase}")

        supervision = Supervision(tell, around.timeout, around.timing(order), memory)
        _add_engine(found, order, build_order(order, library, target, options, around.cache, times, supervision))


def _add_engine(found: TargetFiles, order: Order, engine: Engine) -> None:
    """Add an engine to files, manifest and report."""
    names = {"engine": f"{order.place}.engine", "key": f"{order.place}.json"}
    found.files[names["engine"]] = engine.plan
    found.files[names["key"]] = order.key.to_json().encode()
    facts = {
        "path": names["engine"],
        "precision": order.key.precision,
        "plugin_layers": engine.plugin_layers,
        "layers": engine.layers,
        "bytes": len(engine.plan),
    }
    found.digests.append(order.key.digest)
    found.notes += [note for note in engine.notes if note not in found.notes]
    if order.key.part == WHOLE:
        found.entry["engines"][order.key.precision] = names
        found.engines.append(facts)
    else:  # the whole network comes first
        found.entry["engines"][order.key.precision].setdefault("parts", {})[order.key.part] = names
        found.engines[-1].setdefault("parts", {})[order.key.part] = facts


def _leave_to_target(
    found: TargetFiles,
    bundle: Bundle,
    target: Target,
    precisions: Sequence[str],
    options: EngineOptions,
    served: bool,
) -> None:
    """Add graphs and commands for a build on the target."""
    library = bundle.path / found.entry["library"]
    found.commands.append(make_build_command(bundle.path, library, target, precisions, options, served=served))
    layouts: dict[str, Layout] = {"": "pixels", **({f".{SERVED}": "planes"} if served else {})}
    for precision, (infix, layout) in itertools.product(precisions, layouts.items()):
        graph, engine = f"engines/{target.name}/{precision}{infix}.onnx", f"{precision}{infix}.engine"
        source = bundle.graph(precision, WHOLE)
        found.files[graph] = prepare_engine_graph(source, bodies=False, pixels=True, layout=layout)
        planes = layout == "planes"
        found.commands += [
            make_trtexec_command(bundle.path / graph, library, engine, target, options, planes=planes),
            make_trtexec_load_command(engine, library, options, planes=planes),
        ]

"""Files that a build adds to a bundle."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import onnx

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
from .tuning.session import Subject, time_in_child
from .tuning.tilings import Tilings, list_alternatives
from .tuning.tune import tune

TUNED = "net_r"
"""Part whose layers are timed; the whole network has the same ones."""


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
    tuned: dict[str, Any] = field(default_factory=dict)
    """Times and choices of tilings by precision, see `Tuned`; empty where nothing was tuned."""
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
    tuned: bool = False,
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
        tuned: time the layers' tilings on this GPU first, and build with the fastest.

    Raises:
        UserError, GateError: see `build_engine` and `time_in_child`.
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
        _add_kit(found, KitOrder(target, tuple(precisions), options or EngineOptions(), served, tuned))
    if options is None:
        return found
    try:
        builder = builder_of(target)
    except ElsewhereError as error:
        if target.rtx:
            raise
        found.notes.append(str(error))
        _leave_to_target(found, bundle, KitOrder(target, tuple(precisions), options, served, tuned))
        return found
    maker = _Maker(bundle, target, build.library, options, builder)
    tilings = _tune(found, maker, precisions, around) if tuned else {}
    orders = maker.list(precisions, served, tilings)
    _build_orders(found, orders, target, build.library, options, around)
    return found


@dataclass(frozen=True)
class _Maker:
    """Facts that all engines of a build share."""

    bundle: Bundle
    target: Target
    library: bytes
    options: EngineOptions
    builder: tuple[str, str]

    def list(self, precisions: Sequence[str], served: bool, tilings: Tilings) -> list[Order]:
        """List the engines with their tilings."""
        given = self.bundle, self.target, self.library, precisions, self.options, self.builder
        return make_orders(*given, served=served, tilings=tilings)


def _tune(found: TargetFiles, maker: _Maker, precisions: Sequence[str], around: Circumstances) -> dict[str, str]:
    """Choose the tilings of all layers.

    Names of layers have their types, so precisions do not meet.
    """
    if not list_alternatives(maker.library):
        found.notes.append(
            "nothing was tuned: the plugin library has one tiling of each layer; build it with --tune, which takes "
            "alternatives along"
        )
        return {}
    chosen: dict[str, str] = {}
    for precision in precisions:
        if not maker.bundle.has_graph(precision, TUNED):
            found.notes.append(f"nothing was tuned in {precision}: the bundle has no {precision} graph of {TUNED}")
            continue
        (order,) = (order for order in maker.list([precision], False, {}) if order.key.part == TUNED)
        facts = {"device": order.key.device, "driver": order.key.driver, "size": list(maker.options.usual)}
        measure = partial(_time_engine, maker, precision, around)
        result = tune(onnx.load_model_from_string(order.graph), maker.library, facts, around.cache, measure)
        found.tuned[precision] = result.to_json()
        chosen |= result.tilings
    return chosen


def _time_engine(maker: _Maker, precision: str, around: Circumstances, tilings: Tilings) -> list[dict[str, float]]:
    """Build an engine with tilings, and time its layers."""
    (order,) = (order for order in maker.list([precision], False, tilings) if order.key.part == TUNED)
    what = f"tuning the layers in {precision}"
    around.progress(f"{what}, building an engine")
    device = find_target_device(maker.target)
    memory = None if device is None else find_memory_limit(device)
    supervision = Supervision(
        lambda phase: around.progress(f"{what}, {phase}"), around.timeout, around.timing(order), memory
    )
    engine = build_order(order, maker.library, maker.target, maker.options, around.cache, around.times, supervision)
    shapes = {name: usual for name, (_, usual, _) in order.profile.items()}
    subject = Subject(engine.plan, maker.library, maker.builder[0], shapes)
    return time_in_child(subject, timeout=around.timeout, progress=lambda step: around.progress(f"{what}, {step}"))


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


def _leave_to_target(found: TargetFiles, bundle: Bundle, order: KitOrder) -> None:
    """Add graphs and commands for a build on the target."""
    target, options = order.target, order.options
    library = bundle.path / found.entry["library"]
    found.commands.append(make_build_command(bundle.path, library, target, order.words))
    layouts: dict[str, Layout] = {"": "pixels", **({f".{SERVED}": "planes"} if order.served else {})}
    for precision, (infix, layout) in itertools.product(order.precisions, layouts.items()):
        graph, engine = f"engines/{target.name}/{precision}{infix}.onnx", f"{precision}{infix}.engine"
        source = bundle.graph(precision, WHOLE)
        found.files[graph] = prepare_engine_graph(source, bodies=False, pixels=True, layout=layout)
        planes = layout == "planes"
        found.commands += [
            make_trtexec_command(bundle.path / graph, library, engine, target, options, planes=planes),
            make_trtexec_load_command(engine, library, options, planes=planes),
        ]

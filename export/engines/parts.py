"""Engines of a network's parts, with keys and cache."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from ...plugins.compiler.cache import Cache
from ...plugins.compiler.library.linking import LIBRARY
from ...plugins.compiler.targets import Target
from ...runtime.bundle.engine_key import EngineKey
from ...runtime.bundle.engines import SERVED, WHOLE, name_graph
from ...runtime.bundle.reader import Bundle
from ...runtime.errors import UserError
from ...runtime.tiling.spec import SpairNetwork
from ...temporary.places import scratch_folder
from ..passes.pixels import Layout
from ..passes.threshold import ask_for_threshold
from .builder import Engine, Profile, Supervision, build_engine, describe_options
from .estimate import BuildTimes, name_build
from .graph import match_tensors, prepare_engine_graph
from .options import EngineOptions
from .packages import find_target_device
from .profiles import PARTS, make_profile
from .tuning.tilings import NO_TILINGS, Tilings


@dataclass(frozen=True)
class Order:
    """Engine to build."""

    key: EngineKey
    graph: bytes
    """Content of the prepared ONNX file."""
    profile: Profile
    outputs: tuple[str, ...]
    """Names of tensors that become outputs too."""

    @property
    def place(self) -> str:
        """Path of the engine's files in a bundle, without suffix."""
        part = "" if self.key.part == WHOLE else f".{self.key.part}"
        return f"engines/{self.key.target}/{self.key.precision}{part}"


def make_orders(
    bundle: Bundle,
    target: Target,
    library: bytes,
    precisions: Sequence[str],
    options: EngineOptions,
    builder: tuple[str, str],
    *,
    served: bool = False,
    tilings: Tilings = NO_TILINGS,
) -> list[Order]:
    """List the engines of a target.

    Args:
        bundle: the bundle to build from.
        target: the machine to build for.
        library: content of the plugin library.
        precisions: names of precisions that the bundle has.
        options: how the engines are built.
        builder: package that builds them, and its version.
        served: list the engine of the served contract too.
        tilings: tilings of layers, as far as they are not the library's first choice.

    Returns:
        For each precision the whole network, then its stages as far as the bundle has their graphs, then the served
        one.

    Raises:
        UserError: a graph was changed; a pattern of tensors to keep matches in no part.
    """
    orders = []
    for precision in precisions:
        matched: dict[str, bool] = dict.fromkeys(options.keep_outputs, False)
        for part in (*PARTS, SERVED) if served else PARTS:
            if not bundle.has_graph(precision, name_graph(part)):
                continue
            content = prepare_part(bundle.graph(precision, name_graph(part)), part, tilings)
            model = onnx.load_model_from_string(content)
            found = match_tensors(model, options.keep_outputs)
            matched = {pattern: matched[pattern] or bool(names) for pattern, names in found.items()}
            outputs = tuple(dict.fromkeys(name for names in found.values() for name in names))
            network = bundle.manifest.network
            assert isinstance(network, SpairNetwork)  # others have no nodes for plugins, and are refused before
            profile = make_profile(model, part, network, options)
            facts = {"prepared": _hash(content), "profile": profile, "outputs": list(outputs)}
            key = _make_key(bundle, target, precision, part, builder, library)
            orders.append(Order(_with_options(key, options, facts), content, profile, outputs))
        _check_patterns(matched, precision)
    return orders


def prepare_part(graph: Path, part: str, tilings: Tilings = NO_TILINGS) -> bytes:
    """Prepare the graph of a part's engine.

    The first stage takes the threshold of its mask. The whole network keeps its own: other programs give it a picture
    and nothing else.

    Args:
        graph: the ONNX file.
        part: name of the part, "model", "net_l", "net_r" or "served".
        tilings: see `prepare_engine_graph`.

    Returns:
        The ONNX file's content.

    Raises:
        UserError: see `prepare_engine_graph`.
    """
    layout: Layout = "planes" if part == SERVED else "pixels"
    content = prepare_engine_graph(graph, pixels=part in (WHOLE, SERVED), layout=layout, tilings=tilings)
    return ask_for_threshold(content) if part == "net_l" else content


def build_order(
    order: Order,
    library: bytes,
    target: Target,
    options: EngineOptions,
    cache: Cache,
    times: BuildTimes,
    supervision: Supervision,
) -> Engine:
    """Build an engine, or take it from the cache.

    Raises:
        UserError, GateError: see `build_engine`.
    """
    kept = load_order(order, cache)
    if kept is not None:
        return kept
    with scratch_folder("build") as folder:
        path, source = folder / LIBRARY, folder / f"{order.key.part}.onnx"
        path.write_bytes(library)
        source.write_bytes(order.graph)
        start = time.monotonic()
        engine = build_engine(
            source, path, target, options, profile=order.profile, outputs=order.outputs, supervision=supervision
        )
        times.keep(name_build(order.key), time.monotonic() - start)
    facts = {"layers": engine.layers, "plugin_layers": engine.plugin_layers, "notes": list(engine.notes)}
    cache.store(order.key.digest, {"plan": engine.plan, "facts": json.dumps(facts).encode()})
    return engine


def load_order(order: Order, cache: Cache) -> Engine | None:
    """Take an engine from the cache, where it is there."""
    kept = cache.load(order.key.digest)
    if not kept or not {"plan", "facts"} <= kept.keys():
        return None
    facts = json.loads(kept["facts"])
    return Engine(kept["plan"], facts["layers"], facts["plugin_layers"], tuple(facts["notes"]))


def _make_key(
    bundle: Bundle, target: Target, precision: str, part: str, builder: tuple[str, str], library: bytes
) -> EngineKey:
    """Make the key of an engine without options."""
    device = find_target_device(target)
    return EngineKey(
        target=target.name,
        precision=precision,
        part=part,
        graph=bundle.graph_digest(precision, name_graph(part)),
        library=_hash(library),
        builder=builder[0],
        version=builder[1],
        machine=target.machine,
        architectures=target.architectures,
        device="" if device is None else str(device),
        driver="" if device is None else f"{device.driver[0]}.{device.driver[1]}",
    )


def _with_options(key: EngineKey, options: EngineOptions, facts: dict[str, Any]) -> EngineKey:
    """Add options and facts to a key.

    They are as they come back from the key's file, lists in place of tuples.
    """
    values = json.loads(json.dumps({**describe_options(options), **facts}))
    return EngineKey(**{**key.__dict__, "options": values})


def _check_patterns(matched: dict[str, bool], precision: str) -> None:
    for pattern, found in matched.items():
        if not found:
            raise UserError(
                f"--keep-outputs {pattern} matches no tensor of the {precision} graphs; names of tensors are in the "
                "ONNX files of the bundle, and * stands for any characters"
            )


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

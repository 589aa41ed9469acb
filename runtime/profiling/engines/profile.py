"""Measurements of `spair profile --backend tensorrt`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from ...bundle.reader import Bundle
from ...clock import ReportProgress
from ...engine.network import EngineNetwork
from ...engine.opening import EngineOpening, open_engines
from ...engine.slot import SlotOptions
from ...errors import UserError
from ...machine.clocks import read_clocks
from ...machine.gpu import find_device
from ...restorer import Restorer
from ..cases import RunSetting, is_gated, make_cases
from ..gates import check_baseline
from ..profile import ProfilePlan, Size, Source, as_float, fit
from .exports import Exports, write_layer_info, write_profile, write_times
from .layers import measure_layers
from .parts import FeedWatch, measure_curves
from .runs import Rounds
from .whole import make_feeds, measure_pictures, measure_steps, measure_together

KEYS = ("engines", "latency", "pictures", "curves", "layers")
"""Lists of the report on engines; entries name their precision, and their size where it matters."""


@dataclass(frozen=True)
class EngineSetting:
    """Settings with which engines are measured."""

    trust_code: bool = False
    """Whether engines run that nobody has trusted."""
    layers: bool = True
    """Whether layers are timed too."""
    slots: SlotOptions = field(default_factory=SlotOptions)
    """Options of all slots; `graph` is chosen by each measurement."""
    rounds: Rounds = field(default_factory=Rounds)
    """Limits on the runs of the engine with the picture."""
    brief: Rounds = field(default_factory=partial(Rounds, seconds=0.5))
    """Limits on the runs with each density."""
    exports: Exports = field(default_factory=Exports)


def check_source(source: Source) -> Source:
    """Refuse pictures that the whole engine does not take.

    Raises:
        UserError: it is not 8-bit RGB.
    """
    kind, channels = source.pixels.dtype, source.pixels.shape[2]
    if kind != np.uint8 or channels < 3:
        raise UserError(
            f"{source.name} has {channels} channels of {kind.name}, and engines of the whole network take 8-bit RGB; "
            "give another --image"
        )
    return source._replace(pixels=np.ascontiguousarray(source.pixels[..., :3]))


def check_plan(plan: ProfilePlan, exports: Exports) -> None:
    """Refuse plans that are not for engines.

    Raises:
        UserError: a tile or thresholds are given; or a file of trtexec's formats is wanted, and there is more than one
            precision, size or number of slots.
    """
    if any(setting.tile is not None for setting in plan.settings):
        raise UserError("engines are measured on pictures and pieces as they come; leave out --tile")
    if plan.dial is not None:
        raise UserError(
            "thresholds of the mask are timed on the processor alone; leave out --thresholds, or --backend tensorrt"
        )
    if exports.any and len(plan.sizes) * len(plan.settings) > 1:
        raise UserError(
            "the files of trtexec's formats are of one run, but several sizes, precisions or numbers of --threads "
            "are measured; give one of each"
        )


def measure_engines(
    bundle: Bundle, source: Source, plan: ProfilePlan, setting: EngineSetting, progress: ReportProgress
) -> dict[str, Any]:
    """Measure the engines of every precision.

    Where a picture is restored, the engine and the CPU are compared first.

    Args:
        bundle: a bundle with engines.
        source: 8-bit RGB picture, see `check_source`.
        plan: sizes, masks and settings; the number of threads is that of slots.
        setting: how engines are measured.
        progress: called with a phrase on what is being done.

    Returns:
        Lists by `KEYS`.

    Raises:
        UserError: no engine fits or is trusted, or the largest size of an engine is less than that of the plan.
        GateError: an engine restores another picture than the CPU.
        EngineError, MemoryError: the GPU or TensorRT refuses.
    """
    lists: dict[str, Any] = {key: [] for key in KEYS}
    for run_setting in plan.settings:
        keys = {"precision": run_setting.precision, "threads": run_setting.threads}
        opening = open_engines(
            bundle,
            run_setting.precision,
            slots=run_setting.threads,
            options=setting.slots,
            trust_code=setting.trust_code,
        )
        with _Measurement.open(opening, bundle, source, plan, run_setting, setting, progress) as within:
            for key, entries in within.measure().items():
                lists[key] += [{**keys, **entry} for entry in entries]
    return lists


class _Measurement:
    """Measurements of the engines of one precision."""

    def __init__(
        self,
        opening: EngineOpening,
        network: EngineNetwork,
        watch: FeedWatch,
        bundle: Bundle,
        source: Source,
        plan: ProfilePlan,
        run_setting: RunSetting,
        setting: EngineSetting,
        progress: ReportProgress,
    ) -> None:
        self._opening, self._network, self._watch = opening, network, watch
        self._bundle, self._source, self._plan, self._setting = bundle, source, plan, setting
        self._cpu = replace(run_setting, threads=None)
        self._report = lambda words: progress(f"{run_setting.precision} engine: {words}")

    @classmethod
    @contextmanager
    def open(cls, opening: EngineOpening, *arguments: Any) -> Iterator[_Measurement]:
        """Open the network, and close it at the end."""
        watches: list[FeedWatch] = []

        def watch(graph: Any) -> FeedWatch:
            watches.append(FeedWatch.around(graph))
            return watches[-1]

        with closing(opening.open_network(watch)) as network:
            yield cls(opening, network, watches[0], *arguments)

    def measure(self) -> dict[str, list[dict[str, Any]]]:
        """Measure everything once."""
        self._check_sizes()
        before = read_clocks()
        found: dict[str, list[dict[str, Any]]] = {key: [] for key in KEYS}
        for size in self._plan.sizes:
            for key, entries in self._measure_size(size, layers=size == self._plan.sizes[0]).items():
                found[key] += [{"size": list(size), **entry} for entry in entries]
        curves, reason = self._measure_curves()
        clocks = {"before": asdict(before), "after": asdict(read_clocks())}
        engine = {**self._describe_engine(), "clocks": clocks, "curves_missing": reason}
        return {**found, "curves": curves, "engines": [engine]}

    def _check_sizes(self) -> None:
        height, width = self._network.whole.largest["image"][1:3]
        for size in self._plan.sizes:
            if size.width > width or size.height > height:
                raise UserError(
                    f"the engine {self._opening.choice.whole.plan} takes pictures up to {width}x{height}, and {size} "
                    "is larger; give a smaller --size, or build it again for larger ones"
                )

    def _describe_engine(self) -> dict[str, Any]:
        choice, device = self._opening.choice, find_device()
        return {
            "file": str(choice.whole.plan),
            "target": choice.target,
            "package": choice.package,
            "tensorrt": choice.host.version,
            "gpu": str(device),
            "transfers": not device.integrated,
            "wait": "spin" if self._setting.slots.spin else "blocking",
            "slots": self._opening.slots,
        }

    def _measure_size(self, size: Size, *, layers: bool) -> dict[str, list[dict[str, Any]]]:
        whole, options, exports = self._network.whole, self._setting.slots, self._setting.exports
        pixels = fit(self._source.pixels, size)
        self._report(f"{size}, comparing with the CPU")
        compared = self._compare(pixels)
        self._report(f"{size}, latency")
        feeds = make_feeds(whole, pixels)
        steps, plain = measure_steps(whole, feeds, options, self._setting.rounds)
        if exports.times is not None:
            write_times(exports.times, plain.times)
        together = measure_together(whole, feeds, self._opening.slots, self._setting.rounds)
        self._report(f"{size}, pictures of other densities")
        pictures = measure_pictures(whole, pixels, self._plan.densities, options, self._setting.brief)
        latency = {**compared, **steps, "together": together}
        return {"latency": [latency], "pictures": pictures, "layers": self._measure_layers(feeds) if layers else []}

    def _compare(self, pixels: np.ndarray) -> dict[str, Any]:
        """Compare the pictures of engine and CPU."""
        result = Restorer(self._network)(pixels)
        with self._cpu.open_restorer(self._bundle) as restorer:
            differing = check_baseline("the engine's own mask", result.image, restorer(pixels).image)
        return {"density": round(result.density, 6), "differing_from_cpu": differing}

    def _measure_layers(self, feeds: dict[str, np.ndarray]) -> list[dict[str, Any]]:
        exports = self._setting.exports
        if not (self._setting.layers or exports.profile or exports.layer_info):
            return []
        self._report("layers")
        layers = measure_layers(self._network.whole, feeds)
        if exports.profile is not None:
            write_profile(exports.profile, layers)
        if exports.layer_info is not None:
            write_layer_info(exports.layer_info, layers)
        return [{key: value for key, value in layers.items() if key != "information"}]

    def _measure_curves(self) -> tuple[list[dict[str, Any]], str | None]:
        """Measure Net_R under given masks.

        Returns:
            The curves, and None; without engines of the parts no curve, and the reason.
        """
        try:
            height, width = self._network.largest_window
        except UserError as error:
            return [], str(error)
        size = Size(min(self._plan.check_size.width, width), min(self._plan.check_size.height, height))
        image = as_float(fit(self._source.pixels, size))
        cases = make_cases(self._plan.shapes, self._plan.densities, size.height, size.width)
        with self._cpu.open_restorer(self._bundle, "dense") as baseline:
            curves = measure_curves(
                Restorer(self._network),
                self._watch,
                baseline,
                image,
                cases,
                gated=is_gated(self._bundle),
                options=self._setting.slots,
                rounds=self._setting.brief,
                repeats=self._plan.effort.forced,
                progress=self._report,
            )
        return [{"size": list(size), **curve} for curve in curves], None

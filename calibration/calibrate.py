"""Calibration of a bundle to a lower precision.

A calibration observes the activations, measures how sensitive each layer is, searches the mixture of precisions that
passes the accuracy gate, and stores the converted graphs in the bundle.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..export.passes.base import refusing
from ..export.rows.bundle import describe_rows
from ..runtime import Bundle
from ..runtime.bundle.precision import ROWS
from ..runtime.bundle.writer import Content, check_extendable, extend_bundle
from ..runtime.errors import GateError
from .accuracy.gate import Verdict, check_gate
from .accuracy.search import Ladder, Moves, descend, rank
from .accuracy.sensitivity import Ranges, find_ranges, measure_sensitivities
from .accuracy.trial import Trial, open_trial
from .conversion.plan import PrecisionPlan
from .derived import measure_derived
from .journal import Journal, open_journal
from .options import DERIVED, GATES_DB, Options, Precision
from .progress import Progress, silent
from .report import KEPT_OUT, layer_rows, make_report
from .rows import time_rows
from .speed import time_layers, time_parts
from .statistics.observe import check_finite, observe
from .statistics.pictures import CalibrationPicture, choose_tiles, hold_back, read_pictures
from .variants import Built, Variant, build

MARGIN = 0.7
"""Share of the gate that the tiles may lose; the pictures of the gate may lose more than the tiles."""


def calibrate_bundle(
    path: str | os.PathLike[str],
    images: str | os.PathLike[str],
    options: Options,
    *,
    targets: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    store: bool = True,
    expect_digest: Collection[str] = (),
    progress: Progress = silent,
    announce: Callable[[str], None] = lambda sentence: None,
) -> dict[str, Any]:
    """Calibrate a bundle and store the graphs in it.

    Args:
        path: the bundle.
        images: folder of degraded pictures like the ones that users will restore.
        options: precision, gate and the settings of the measurements.
        targets: folder of the clean pictures with the same stems; without it, losses are estimated, see `measures`.
        fresh: whether to ignore the measurements that earlier runs kept.
        store: whether to write the graphs into the bundle; a diagnosis (`options.quantize`) never writes them.
        expect_digest: see `Bundle.open`.
        progress: receives the stages and their steps, see `Progress`.
        announce: called with a sentence for each picture that is left out or tells nothing; they are
            the `notes` of the JSON.

    Returns:
        The JSON of `spair calibrate`.

    Raises:
        UserError: the bundle or the pictures cannot be used; nothing was written.
        GateError: no mixture of precisions passes the gate; nothing was written.
    """
    bundle = Bundle.open(path, expect_digest=expect_digest)
    if store and (options.quantize == "both" or options.precision in DERIVED):
        check_extendable(bundle)  # minutes before it is written
    network = Variant(bundle, options.threads)
    notes: list[str] = []

    def note(sentence: str) -> None:
        notes.append(sentence)
        announce(sentence)

    clean = None if targets is None else Path(targets)
    pictures = read_pictures(Path(images), clean, options, progress, note, network.spec.scale)
    work = f"calibrate {bundle.path} to {options.precision}"
    with refusing(work, "restore with --precision fp32, or export the network without that"):
        if options.precision in DERIVED:
            return {**measure_derived(network, pictures, options, progress, store=store), "notes": notes}
        giving, _ = hold_back(pictures)
        tiles = _choose(network, giving, options)
        journal = open_journal(network, tiles, options)
        if fresh:
            journal.forget()
        return {**_Calibration(network, pictures, tiles, options, journal, progress).run(store), "notes": notes}


def _choose(network: Variant, pictures: Sequence[CalibrationPicture], options: Options) -> list[CalibrationPicture]:
    if "net_l" not in network.parts:
        return choose_tiles(pictures, options, None)
    with network.opened({"net_l": network.models["net_l"]}) as graphs:

        def find_mask(tile: CalibrationPicture) -> np.ndarray:
            values = graphs["net_l"].run({"image": np.ascontiguousarray(np.moveaxis(tile.pixels, 2, 0)[None])})
            if not all(np.isfinite(value).all() for value in values.values()):
                observe(network, [tile], options, silent)  # raises an error that names the layer
            return values["mask"][0, 0] > 0.5

        return choose_tiles(pictures, options, find_mask)


@dataclasses.dataclass
class _Calibration:
    """One run of a calibration."""

    network: Variant
    pictures: list[CalibrationPicture]
    tiles: list[CalibrationPicture]
    options: Options
    journal: Journal
    progress: Progress
    sensitivities: dict[str, float] = dataclasses.field(default_factory=dict)
    """Loss in dB of each layer in the chosen precision; empty until it is measured, see `Options.quick`."""

    def run(self, store: bool) -> dict[str, Any]:
        network, options = self.network, self.options
        seen = observe(network, self.tiles, options, self.progress)
        with open_trial(network, self.tiles, options, self.journal) as trial:
            ranges = find_ranges(trial, seen, options)
            if not options.quick:
                self._measure(trial, ranges)
            plan, built, verdict, loss = self._settle(trial, self._ladder(trial, ranges))
        middle = verdict.middle_of(self.pictures)
        diagnosis = options.quantize != "both"
        times: Mapping[str, tuple[float, float]] = {}
        if not diagnosis and not options.quick:
            density = float(np.median(verdict.densities))
            times = time_layers(network, plan, options.tile, density, self.progress)
        rows = layer_rows(network, plan, seen, self.sensitivities, times)
        report = make_report(network, options, plan, built, verdict, self.tiles, rows)
        report |= {"tile_loss_db": loss, "recalled": self.journal.recalled, "stored": store and not diagnosis}
        report["speed"] = None if diagnosis else time_parts(network, built, middle, self.progress)
        if report["stored"]:
            self._store(built, report)
            if options.precision == "int8":
                self._time_rows(report, middle)
        return report

    def _time_rows(self, report: dict[str, Any], picture: CalibrationPicture) -> None:
        """Time the stored row program for the bundle."""
        precision = self.options.precision
        bundle = Bundle.open(self.network.bundle.path)
        with self.progress("timing rows:"):
            times = time_rows(bundle, precision, picture, self.options.threads)
        if times is not None:
            report["speed"]["parts"][ROWS] = times
            extend_bundle(bundle, self._fields(report), {})

    def _measure(self, trial: Trial, ranges: Ranges) -> None:
        if not self.sensitivities:
            options = self.options
            self.sensitivities = measure_sensitivities(trial, options.precision, ranges, options, self.progress)

    def _ladder(self, trial: Trial, ranges: Ranges) -> Ladder:
        """Build the ladder from all layers in the precision.

        Its moves take INT8 layers back to FP16 where that is accurate enough, and all others to FP32.
        """
        layers, options = self.network.layers, self.options
        rest: Precision = "fp16" if options.quantize == "both" else "fp32"
        lowest: dict[str, Precision] = {
            layer.name: "fp32" if options.precision == "fp16" and layer.name in ranges.forced else options.precision
            for layer in layers
        }

        def find_moves() -> Moves:
            self._measure(trial, ranges)
            halves = self._halves(trial, ranges) if options.precision == "int8" else {}
            return [(name, halves.get(name, "fp32")) for name in rank(layers, self.sensitivities)]

        return Ladder(PrecisionPlan(lowest, rest, ranges.scales, options.quantize, ranges.full), find_moves)

    def _halves(self, trial: Trial, ranges: Ranges) -> dict[str, Precision]:
        """Choose the precision of each layer that leaves INT8.

        It is FP16 if the layers together lose no more than FP16's own gate allows on the tiles. Otherwise the most
        sensitive layers become FP32. A diagnosis knows no FP16.
        """
        layers = self.network.layers
        names: dict[str, Precision] = {
            layer.name: "fp32" if layer.name in ranges.forced else "fp16" for layer in layers
        }
        if self.options.quantize != "both":
            return dict.fromkeys(names, "fp32")
        plan = PrecisionPlan(names, "fp16", full=ranges.full)
        allowed = MARGIN * min(GATES_DB["fp16"], self.options.gate(self.network.kind))
        if trial.loss(plan) <= allowed:
            return names
        sensitivities = measure_sensitivities(trial, "fp16", ranges, self.options, self.progress)
        ladder = Ladder(plan, lambda: [(name, "fp32") for name in rank(layers, sensitivities)])
        return dict(ladder.plan(descend(ladder, trial.loss, allowed)).layers)

    def _settle(self, trial: Trial, ladder: Ladder) -> tuple[PrecisionPlan, Built, Verdict, float]:
        """Search the plan that passes the gate.

        The tiles choose a step of the ladder. Whole pictures check it, and those that gave no tiles once more by
        themselves. While the check fails, the search goes further down the ladder.

        Returns:
            The plan, its graphs, the verdict of the gate, and the plan's loss on the tiles in dB.

        Raises:
            GateError: no layer may have the precision, or a clean pixel changed.
        """
        gate = self.options.gate(self.network.kind)
        allowed, step = MARGIN * gate, 0
        while True:
            with self.progress("mixing:"):
                step = descend(ladder, trial.loss, allowed, step)
            plan = ladder.plan(step)
            if self.options.precision not in plan.layers.values():
                worst = ", ".join(name for name, _ in ladder.moves[:3])
                raise GateError(
                    f"no layer of {self.network.bundle.path} can be {self.options.precision} within the gate of "
                    f"{gate:g} dB (the most sensitive layers are {worst}), expected at least one, and nothing was "
                    "written; allow more with --max-loss, or use a higher precision"
                )
            built = build(self.network, plan)
            verdict = check_gate(self.network, built, self.pictures, self.options, self.progress)
            loss = trial.loss(plan)
            if verdict.passed(gate, {tile.source for tile in self.tiles}) or self.options.quantize != "both":
                check_finite(self.network, built.twins, self.tiles, self.progress)
                return plan, built, verdict, loss
            if verdict.clean_changed:
                raise GateError(
                    f"the {self.options.precision} graphs of {self.network.bundle.path} change "
                    f"{verdict.clean_changed} clean pixels, expected 0, and nothing was written; please report this"
                )
            allowed, step = min(allowed, loss) / 2, step + 1

    def _fields(self, report: Mapping[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in report.items() if name not in KEPT_OUT}
        return {"calibration": {self.options.precision: kept}}

    def _store(self, built: Built, report: Mapping[str, Any]) -> None:
        precision = self.options.precision
        paths = {part: f"graphs/{precision}/{part}.onnx" for part in built.models}
        fields: dict[str, Any] = {"graphs": {precision: paths}, **self._fields(report)}
        files: dict[str, Content] = {paths[part]: model.SerializeToString() for part, model in built.models.items()}
        if precision == "int8":
            rows, programs = describe_rows(built.models, self.network.bundle, precision)
            fields, files = {**fields, **rows}, {**files, **programs}
        extend_bundle(self.network.bundle, fields, files)

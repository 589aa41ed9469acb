"""Comparison of the methods that restore a masked picture.

Dense computes every piece on all its pixels, packed on its distorted pixels, and adaptive takes the cheaper path for
each piece. On the backend cpu the latter two are one, and dense is that of ONNX Runtime. Their results are compared
first, then their times, which cross at some density.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..bundle.reader import Bundle
from ..clock import ReportProgress
from ..cpu.opening import BACKEND as CPU
from ..restorer import Restorer, Result
from ..tiling.planning import PathChoice
from .cases import Case, RunSetting, is_gated
from .gates import check_clean, check_same
from .timing import Clock, Repeats, find_crossover, percentiles, take_turns, warm_up

Point = dict[str, Any]
"""Percentiles of the times, "dense_ms", "adaptive_ms" and "packed_ms"."""

PIECE = 128
"""Largest side in pixels of the pieces when pieces are compared; a small picture would otherwise be a single piece."""


def measure_curves(
    bundle: Bundle,
    setting: RunSetting,
    image: np.ndarray,
    cases: Sequence[Case],
    repeats: Repeats,
    *,
    progress: ReportProgress = lambda words: None,
    clock: Clock = time.perf_counter,
) -> dict[str, Any]:
    """Compare and time all methods under every mask.

    Under one mask of each shape, dense and packed are also compared in small pieces, without being timed.

    Args:
        bundle: a two-stage bundle.
        setting: settings with which the bundle is run.
        image: float32 picture as `Restorer` takes it.
        cases: masks of the picture's size.
        repeats: limits on the runs of each method under each mask.
        progress: called with a phrase on what is being timed.
        clock: returns the seconds.

    Returns:
        {"check": {"cases", "max_abs", "tolerance", "gated", "packed", "pieces"}, "curves": [{"mask", "points":
        [{"density", "dense_ms", "adaptive_ms", "packed_ms"}], "crossover_density"}]}. "cases" is the number of
        different masks, "gated" tells whether clean pixels were checked, "packed" whether a packed graph was, and
        "pieces" is the largest number of pieces of a picture. "packed_ms" and "crossover_density" are None if the
        bundle has no packed graph, and the latter also if the times do not cross.

    Raises:
        GateError: the results of two methods differ, or a clean pixel was changed.
    """
    points: dict[tuple[str, float], Point] = {}
    with ExitStack() as stack:
        restorers = {
            method: stack.enter_context(setting.open_restorer(bundle, path)) for method, path in _paths(bundle, setting)
        }
        heaviest = max(cases, key=lambda case: case.density)
        for method, restorer in restorers.items():
            progress(f"{method}, warming up")
            warm_up(restorer, image, heaviest.mask)
        comparison = _Comparison(image, restorers, setting.tolerance, is_gated(bundle))
        different = {case.key: case for case in cases}
        for case in different.values():
            progress(f"comparing the methods, {case}")
            points[case.key] = comparison.run(case, repeats, clock)
        progress("comparing pieces")
        comparison.compare_pieces(bundle, setting, _one_each(cases))
    shapes = dict.fromkeys(case.shape for case in cases)
    check = {
        "cases": len(different),
        "max_abs": comparison.largest,
        "tolerance": setting.tolerance,
        "gated": is_gated(bundle),
        "packed": "packed" in restorers,
        "pieces": comparison.pieces,
    }
    return {
        "check": check,
        "curves": [_curve(shape, cases, points) for shape in shapes],
    }


def _paths(bundle: Bundle, setting: RunSetting) -> Iterator[tuple[str, PathChoice]]:
    """Yield the methods with their paths, dense first.

    The other methods are compared with dense.
    """
    yield "dense", "dense"
    yield "adaptive", "auto"
    if setting.backend == CPU or bundle.has_graph(setting.precision, "net_r_packed"):
        yield "packed", "packed"


def _one_each(cases: Sequence[Case]) -> list[Case]:
    """Choose a case of middle density for each shape.

    Masks without a distorted pixel are left out.
    """
    shapes: dict[str, list[Case]] = {}
    for case in sorted(cases, key=lambda case: case.density):
        if case.mask.any():
            shapes.setdefault(case.shape, []).append(case)
    return [own[len(own) // 2] for own in shapes.values()]


class _Comparison:
    """Comparison of all methods on one picture, mask by mask."""

    def __init__(self, image: np.ndarray, restorers: Mapping[str, Restorer], tolerance: float, gated: bool) -> None:
        self._image, self._restorers, self._tolerance, self._gated = image, restorers, tolerance, gated
        self._dense = image
        self.largest = 0.0
        """Largest difference from dense so far, as a share of full scale."""
        self.pieces = 0
        """Largest number of pieces of a picture so far."""

    def run(self, case: Case, repeats: Repeats, clock: Clock) -> Point:
        """Compare and time the methods under one mask."""
        runs = {name: partial(restorer, self._image, mask=case.mask) for name, restorer in self._restorers.items()}
        times = take_turns(runs, lambda method: repeats, seen=partial(self._check, case), clock=clock)
        return {"packed_ms": None, **{f"{method}_ms": percentiles(seconds) for method, seconds in times.items()}}

    def compare_pieces(self, bundle: Bundle, setting: RunSetting, cases: Sequence[Case]) -> None:
        """Compare small pieces with the dense result of `setting`."""
        small = replace(setting, tile=min(setting.tile or PIECE, PIECE))
        for method, path in _paths(bundle, setting):
            if path == "auto":
                continue
            with small.open_restorer(bundle, path) as restorer:
                for case in cases:
                    self._dense = self._restorers["dense"](self._image, mask=case.mask).image
                    self._compare(case, f"{method} (in pieces)", restorer(self._image, mask=case.mask))

    def _check(self, case: Case, method: str, result: Result) -> None:
        if method == "dense":
            self._dense = result.image
        self._compare(case, method, result)

    def _compare(self, case: Case, method: str, result: Result) -> None:
        self.pieces = max(self.pieces, result.tiles.packed + result.tiles.dense)
        if self._gated:
            check_clean(f"{case}, {method}", self._image, result.image, case.mask)
        difference = check_same(str(case), method, result.image, self._dense, self._tolerance)
        self.largest = max(self.largest, difference)


def _curve(shape: str, cases: Sequence[Case], points: Mapping[tuple[str, float], Point]) -> dict[str, Any]:
    own = sorted((case for case in cases if case.shape == shape), key=lambda case: case.density)
    curve = [{"density": case.density, **points[case.key]} for case in own]
    crossover = None
    if all(point["packed_ms"] for point in curve):
        packed, dense = ([point[f"{method}_ms"]["p50"] for point in curve] for method in ("packed", "dense"))
        crossover = find_crossover([point["density"] for point in curve], packed, dense)
    return {"mask": shape, "points": curve, "crossover_density": crossover}
